#!/bin/sh
# install-deps.sh [build|check|bench]: the Debian packages that pasgate needs to be
# built, tested or measured. Nothing is done, and no privilege asked for, when all
# of them are there. "check" takes in "build", and "bench" is part of "check".
set -eu

build="gcc make pkg-config libssl-dev libconfig-dev libcurl4-openssl-dev libnghttp2-dev
       libjansson-dev libseccomp-dev libc6-dev"
demo="curl openssl"
bench="nginx-light haproxy apache2 perl util-linux"
check="clang llvm cppcheck valgrind curl openssl perl libio-socket-ssl-perl strace
       procps iproute2 mmdebstrap zstd tomcat10 tomcat10-user $bench"
case ${1:-check} in
build) want=$build ;;
demo) want="$build $demo" ;;
bench) want="$build $demo $bench" ;;
check) want="$build $check" ;;
*) echo "usage: install-deps.sh [build|demo|bench|check]" >&2; exit 64 ;;
esac

command -v dpkg-query >/dev/null || {
    echo "install-deps.sh knows Debian only; it would install:" $want >&2
    exit 0
}

# Debian 12 formats with clang-format 14; other versions lay code out differently.
if [ "${1:-check}" = check ]; then
    apt-cache show clang-format-14 >/dev/null 2>&1 && want="$want clang-format-14"
    command -v docker >/dev/null || want="$want docker.io"
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
        want="$want docker-compose"
fi

has() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=
for package in $want; do
    case $package in
    nginx-light) has nginx-light || has nginx-full || has nginx-extras || has nginx || missing="$missing nginx-light" ;;
    *) has "$package" || missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

echo "installing:$missing"
sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || { echo "need root, or sudo, for that" >&2; exit 1; }
fi
# The services that come with the test peers must not take ports on this machine.
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e $policy ] && [ ! -d /run/systemd/system ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
    made=$policy
fi
trap '[ -z "$made" ] || $sudo rm -f "$made"' EXIT
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
