#!/bin/bash
# ctl.sh: sends one GET to the control port: `docker compose exec pas2 ctl mode=hang`.
query=${1:-}
case $query in
/*) ;;
*) query="/ctl?$query" ;;
esac
exec 3<>/dev/tcp/127.0.0.1/8899
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$query" >&3
while IFS= read -r line && [ "$line" != $'\r' ]; do
    [ "${status:=$line}" ]
done <&3
cat <&3
[[ $status == *' 200 '* ]]
