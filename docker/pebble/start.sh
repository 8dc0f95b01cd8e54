#!/bin/sh
# Starts Pebble, and writes two files to /ca, which pasgate can read:
#   ca.pem    the root of Pebble's own TLS certificate, for acme.ca_file
#   root.pem  the root of the certificates that it issues; a new one at each start
set -eu
cd /ca
rm -f root.pem

if ! [ -s ca.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
        -subj "/CN=CA of the test CA" -keyout ca.key -out ca.new
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=pebble" \
        -keyout pebble.key -out pebble.csr
    printf 'subjectAltName=DNS:pebble,DNS:localhost\nextendedKeyUsage=serverAuth\n' >pebble.ext
    openssl x509 -req -in pebble.csr -CA ca.new -CAkey ca.key -CAcreateserial -days 3650 \
        -extfile pebble.ext -out pebble.pem
    chmod 644 ca.new
    mv ca.new ca.pem
fi

pebble -config /etc/pebble.json &
pebble=$!
trap 'kill "$pebble"' TERM INT
until curl -sf --cacert ca.pem -o root.new https://localhost:15000/roots/0; do
    kill -0 "$pebble"
    sleep 0.2
done
chmod 644 root.new
mv root.new root.pem
wait "$pebble"
