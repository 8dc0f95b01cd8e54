#!/bin/sh
# install-deps.sh [build|demo|bench|check|suites]: installs the Debian packages that pasgate needs to
# be built, demonstrated, measured or tested. "check" includes those before it, "suites" all. If all
# packages are installed, it does nothing and needs no privileges. For Debian 12 and 13.
#
# With "check", tools that are too old in Debian 12 go to the directory
# ${XDG_CACHE_HOME:-~/.cache}/pasgate-test-tools, where the tests look too: Pebble 2.10, for ARI,
# profiles and IP names, built with Go if it is installed, else from Debian sid; and testssl.sh
# 3.2 from Debian 13, which rates.
set -eu

build="gcc make pkg-config libssl-dev libconfig-dev libcurl4-openssl-dev libnghttp2-dev
       libjansson-dev libseccomp-dev libc6-dev"
demo="curl openssl"
bench="nginx-light haproxy apache2 perl libio-socket-ssl-perl util-linux"
check="clang llvm cppcheck valgrind strace procps iproute2 mmdebstrap pebble bsdextrautils
       bind9-dnsutils openssl certbot busybox ca-certificates"
# certbot: its timer has nothing to renew here
suites="slowhttptest nghttp2-client python3-autobahn python3-h2"
peers="nginx haproxy apache2 apache-htcacheclean" # services of these packages
case ${1:-check} in
build) want=$build ;;
demo) want="$build $demo" ;;
bench) want="$build $demo $bench" ;;
check) want="$build $demo $bench $check" ;;
suites) want="$build $demo $bench $suites $check" ;;
*) echo "usage: install-deps.sh [build|demo|bench|check|suites]" >&2; exit 64 ;;
esac

command -v dpkg-query >/dev/null || {
    echo "install-deps.sh knows Debian only; it would install:" $want >&2
    exit 0
}

has()
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

known()
{
    apt-cache show "$1" >/dev/null 2>&1
}

# Prints the missing packages, including those that depend on the release.
missing()
{
    for package in $want; do
        case $package in
        nginx-light) has nginx-light || has nginx-full || has nginx-extras || has nginx || echo nginx-light ;;
        *) has "$package" || echo "$package" ;;
        esac
    done
    [ "$want" != "${want%"$check"}" ] || return 0

    # Sanitizers and libFuzzer, which the package clang only recommends.
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p')
    [ -z "$version" ] || has "libclang-rt-$version-dev" || echo "libclang-rt-$version-dev"

    # The code is formatted with version 14, of Debian 12; later versions format differently.
    has clang-format-14 || ! known clang-format-14 || echo clang-format-14

    # The client is a separate package since Debian 13.
    command -v docker >/dev/null || {
        echo docker.io
        ! known docker-cli || echo docker-cli
    }
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
        echo docker-compose

    # Debian 12's testssl.sh does not rate; see get_testssl().
    ! testssl_rates || has testssl.sh || echo testssl.sh
}

testssl_rates()
{
    apt-cache show testssl.sh 2>/dev/null | grep -q '^Version: 3\.[2-9]'
}

get_packages()
{
    sudo=
    if [ "$(id -u)" != 0 ]; then
        sudo=sudo
        command -v sudo >/dev/null || { echo "need root, or sudo, to install:" $(missing) >&2; exit 1; }
    fi
    $sudo apt-get update -qq
    install=$(missing | sort -u)
    echo "installing:" $install

    # The services of these packages must not use ports of this machine, neither now nor after its
    # next start. Where systemd is not running, no service may be started at all.
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e $policy ]; then
        if [ -d /run/systemd/system ]; then denied=$(echo $peers | tr ' ' '|'); else denied='*'; fi
        printf '#!/bin/sh\ncase $1 in\n%s) exit 101 ;;\nesac\n' "$denied" | $sudo tee $policy >/dev/null
        $sudo chmod 755 $policy
        made=$policy
    fi
    trap '[ -z "$made" ] || $sudo rm -f "$made"' EXIT
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $install
    if [ -d /run/systemd/system ]; then
        for peer in $peers; do
            case " $(echo $install | sed 's/nginx-light/nginx/') " in
            *" $peer "*) $sudo systemctl disable -q "$peer" || : ;;
            esac
        done
    fi
}

tools=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/pasgate-test-tools
pebble=github.com/letsencrypt/pebble/v2
pebble_version=v2.10.1

# unpack SUITE PACKAGE FILE...: puts files of a package of another Debian release into $tools.
# Nothing is installed, and the machine's package lists do not change; signatures are checked.
unpack()
{
    suite=$1 package=$2 work=$(mktemp -d)
    shift 2
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        sed -n 's#^Debian \(https\{0,1\}://.*[^/]\)/*$#\1#p' | head -n 1)
    [ -n "$mirror" ] || { echo "apt knows no mirror of Debian" >&2; return 1; }
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "$mirror $suite main" >"$work/sources.list"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$tools"
    apt="apt-get -qq -o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=-
         -o Dir::State::Lists=$work/lists -o Dir::Cache=$work/cache -o APT::Sandbox::User=root"
    (cd "$work" && $apt update && $apt download "$package" && dpkg -x "$package"_*.deb .) &&
        for file; do
            rm -rf "$tools/${file##*/}" && mv "$work/$file" "$tools/" || break
        done
    rm -rf "$work"
}

# A Go that was installed by hand is often not in the PATH.
go_command()
{
    command -v go || { [ -x /usr/local/go/bin/go ] && echo /usr/local/go/bin/go; }
}

get_pebble()
{
    [ ! -x "$tools/pebble" ] || [ ! -x "$tools/pebble-challtestsrv" ] || return 0
    if go=$(go_command); then
        echo "building Pebble $pebble_version"
        GOBIN=$tools GOFLAGS= "$go" install "$pebble/cmd/pebble@$pebble_version" &&
            GOBIN=$tools GOFLAGS= "$go" install "$pebble/cmd/pebble-challtestsrv@$pebble_version" &&
            return 0
    fi
    echo "unpacking Pebble of Debian sid"
    unpack sid pebble usr/bin/pebble usr/bin/pebble-challtestsrv
}

get_testssl()
{
    testssl_rates || [ -x "$tools/testssl" ] || {
        echo "unpacking testssl.sh of Debian 13"
        unpack trixie testssl.sh etc usr/bin/testssl
    }
}

get_h2spec()
{
    [ ! -x "$tools/h2spec" ] || return 0
    go=$(go_command) || return 1
    echo "building h2spec"
    GOBIN=$tools GOFLAGS= "$go" install github.com/summerwind/h2spec/cmd/h2spec@latest
}

[ -z "$(missing)" ] || get_packages
[ "$want" != "${want%"$check"}" ] || exit 0
get_pebble || echo "no newer Pebble: tests that need one are skipped" >&2
get_h2spec || echo "no h2spec: its test is skipped" >&2
get_testssl || echo "no testssl.sh that rates: its test is skipped" >&2
