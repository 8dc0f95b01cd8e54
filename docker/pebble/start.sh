#!/bin/sh
# Starts Pebble, and puts into /ca, which pasgate reads, too:
#   ca.pem    what signed Pebble's own TLS certificate: acme.ca_file
#   root.pem  what the certificates end in that it issues; another one after each start
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
