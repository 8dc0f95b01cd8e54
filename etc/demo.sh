#!/bin/bash
# demo.sh: "make demo". Installs missing packages, builds, and starts pasgate in front of three
# stand-ins for PAS on unprivileged ports of 127.0.0.1. Ctrl-C ends everything.
set -eu
cd "$(dirname "$0")/.."

HTTPS=${HTTPS:-8443} HTTP=${HTTP:-8080} STATUS=${STATUS:-9180}
B=${B:-build}

t/install-deps.sh demo
make --no-print-directory -j"$(nproc)" B="$B" CC="${CC:-gcc}" all "$B/pas-httpbin"

dir=$(mktemp -d /tmp/pasgate-demo-XXXXXX)
chmod 755 "$dir"
pids=()
end()
{
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    wait
    rm -rf "$dir"
}
trap end EXIT
trap 'exit 0' INT TERM

backends=
for n in 1 2 3; do
    "$B/pas-httpbin" -i "pas$n" -p $((8810 + n)) -c $((8820 + n)) >"$dir/pas$n.log" 2>&1 &
    pids+=($!)
    backends="$backends${backends:+,}
        { name = \"pas$n\"; address = \"127.0.0.1:$((8810 + n))\"; }"
done

cat >"$dir/pasgate.conf" <<END
pidfile = "$dir/pasgate.pid";
log = { level = "info"; format = "text"; access = "off"; };
listen = (
    { address = "127.0.0.1:$HTTPS"; tls = true; },
    { address = "127.0.0.1:$HTTP"; redirect = "https"; redirect_port = $HTTPS; },
    { address = "127.0.0.1:$STATUS"; serve = "status"; } );
acme = { store = "$dir/store"; };
certificates = ( { names = [ "localhost" ]; self_signed = true; } );
pools = ( { name = "pas"; balance = "leastconn";
    check = { type = "pasoe"; path = "/rest/_oepingService/_oeping"; interval = "1s"; timeout = "2s"; rise = 2; fall = 2; };
    backends = ($backends ); } );
routes = (
    { path = "/pas"; pool = "pas"; upstream_path = "/web"; },
    { path = "/apsv"; pool = "pas"; } );
END
"$B/pasgate" check -c "$dir/pasgate.conf"
"$B/pasgate" run -c "$dir/pasgate.conf" &
gate=$!
pids+=("$gate")

tries=200
until curl -ksf -o /dev/null "https://127.0.0.1:$HTTPS/pas/get"; do
    kill -0 "$gate" && [ $((tries -= 1)) -gt 0 ] || { echo "pasgate does not serve" >&2; exit 1; }
    read -rt 0.1 <> <(:) || :
done

cat <<END

    https://localhost:$HTTPS/pas/get        three backends, balanced (self-signed certificate)
    http://localhost:$HTTP/pas/get         redirects there
    http://localhost:$STATUS/               the status page

    Try it, and see "instance" change:
        curl -sk https://localhost:$HTTPS/pas/get

    Make pas2 fail, and recover (refuse, hang, slow, reset, 500, cut, garbage, ok):
        curl -s 'http://localhost:8822/ctl?mode=hang'
        curl -s 'http://localhost:8822/ctl?mode=ok'

    See what pasgate thinks of them:
        $B/pasgate status -c $dir/pasgate.conf

    Ctrl-C ends all.

END
wait "$gate"
