#!/bin/sh
# /usr/wrk/oepasN/bin/tcman.sh: the two words of PAS's own that a unit needs, for the stand-in.
folder=${0%/bin/*}
n=${folder##*oepas}
pidfile=$folder/temp/catalina-oepas$n.pid

case $1 in
start)
    setsid /usr/bin/pas-httpbin -i "pas$n" -p "881$n" -c "882$n" </dev/null >/dev/null 2>&1 &
    echo $! >"$pidfile"
    ;;
stop)
    pid=$(cat "$pidfile") || exit 0
    # takes its time, while the test says so
    while [ -e "$folder/slow" ]; do sleep 0.1; done
    # it ends at once, and what is in flight there is lost
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
    ;;
esac
