/* conf/table.c - every setting of pasgate.conf, once; with conf/table_acme.c and
 * conf/table_pools.c. See conf/table.h.
 *
 * The texts go into the manual: one or two sentences that say what the setting does and why the
 * default is safe. They are mdoc, where a line may not start with a dot and \e is a backslash.
 */
#include "base/conf/rows.h"

static const struct conf_choice log_levels[] = {
    {"error", CONF_LOG_ERROR, 0},
    {"warn", CONF_LOG_WARN, 0},
    {"info", CONF_LOG_INFO, 0},
    {"debug", CONF_LOG_DEBUG, 0},
    {NULL, 0, 0},
};
static const struct conf_choice log_formats[] = {
    {"json", CONF_LOG_JSON, 0}, {"text", CONF_LOG_TEXT, 0}, {NULL, 0, 0}};
static const struct conf_choice access_formats[] = {
    {"json", CONF_ACCESS_JSON, 0}, {"combined", CONF_ACCESS_COMBINED, 0}, {NULL, 0, 0}};
static const struct conf_choice redirects[] = {
    {"none", CONF_REDIRECT_NONE, 0}, {"https", CONF_REDIRECT_HTTPS, 0}, {NULL, 0, 0}};
static const struct conf_choice serves[] = {
    {"proxy", CONF_SERVE_PROXY, 0}, {"status", CONF_SERVE_STATUS, 0}, {NULL, 0, 0}};
static const struct conf_choice client_certs[] = {{"none", CONF_CLIENT_CERT_NONE, 0},
                                                  {"optional", CONF_CLIENT_CERT_OPTIONAL, 0},
                                                  {"required", CONF_CLIENT_CERT_REQUIRED, 0},
                                                  {NULL, 0, 0}};
static const struct conf_choice targets[] = {
    {"encode", CONF_TARGETS_ENCODE, 0}, {"strict", CONF_TARGETS_STRICT, 0}, {NULL, 0, 0}};
static const struct conf_choice tls_versions[] = {
    {"1.2", CONF_TLS_1_2, 0}, {"1.3", CONF_TLS_1_3, 0}, {NULL, 0, 0}};

/* clang-format off: a table reads best with one setting per paragraph */

static const struct conf_setting log_rows[] = {
    {"level", &conf_choice, AT(conf_log, level), .def = "info", .choices = log_levels,
     .text = "Messages of this level and above are written to standard error."},
    {"format", &conf_choice, AT(conf_log, format), .def = "json", .choices = log_formats,
     .text = "One JSON object per line, or a line of text."},
    {"access", &conf_access, .offset = 0, .def = "stdout",
     .text = "Where the access log goes, one line for each exchange. A file is reopened at "
             "SIGUSR1."},
    {"access_format", &conf_choice, AT(conf_log, access_format), .def = "json",
     .choices = access_formats,
     .text =
         "Format of that line; combined is Apache's format, which has no fields for reasons."},
    END};

static const struct conf_setting listen_rows[] = {
    {"address", &conf_listener, .offset = 0, .flags = REQUIRED,
     .text = "Address and port. *:443 accepts IPv6 and IPv4, where the host has both."},
    {"tls", &conf_bool, AT(conf_listen, tls), .def = "false",
     .text = "Clients use TLS here. Needs a certificate."},
    {"redirect", &conf_choice, AT(conf_listen, redirect), .def = "none", .choices = redirects,
     .text = "Redirect every request to https, except ACME challenges, which are answered, and "
             "APSV, which is refused because its clients treat any redirect as a failure."},
    {"redirect_port", &conf_port, AT(conf_listen, redirect_port), .def = "auto", .zero = "auto",
     .min = 1, .max = 65535,
     .text = "The https port that clients see, if a container or firewall maps it; auto is the "
             "port of the first listener with tls."},
    {"serve", &conf_choice, AT(conf_listen, serve), .def = "proxy", .choices = serves,
     .text = "What is served: the routes, or the status and metrics pages. Serve the pages on "
             "an internal address only."},
    {"hosts", &conf_host_any, MANY(conf_listen, hosts), .max = CONF_MAX_LIST,
     .text = "Further host names for the status and metrics pages. Addresses, localhost, names "
             "without a dot and names of certificates are always accepted; any other name gets "
             "421, because a malicious web page could use a name that resolves to this host "
             "(DNS rebinding)."},
    {"targets", &conf_choice, AT(conf_listen, targets), .def = "encode", .choices = targets,
     .text = "Bytes of a request target that RFC 3986 wants percent-encoded but browsers send "
             "raw: { } | ^ ` [ ] \" and UTF-8, and the backslash in a query. encode passes "
             "them on percent-encoded, never raw; strict refuses them with 400, except "
             "brackets in a query."},
    {"client_cert", &conf_choice, AT(conf_listen, client_cert), .def = "none",
     .choices = client_certs,
     .text =
         "Ask clients for a certificate (mTLS). required: no handshake without a valid one; "
         "optional: one that is sent must be valid, and routes with client_cert require it. "
         "The backend gets the subject (RFC 2253) in X-Client-Subject and the SHA-256 "
         "fingerprint in X-Client-Fingerprint, which no client can set."},
    {"client_ca", &conf_file, AT(conf_listen, client_ca), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text =
         "PEM file of the CAs that sign certificates of clients. Read at start and reload."},
    {"client_crl", &conf_file, AT(conf_listen, client_crl), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text =
         "PEM file of their CRLs. The CA that signed the client's certificate must have one "
         "in it; when that has expired, its clients are refused. Read at start and reload."},
    {"client_depth", &conf_count, AT(conf_listen, client_depth), .def = "3", .max = 10,
     .text = "CAs that may be between the client's certificate and one of client_ca."},
    {"clients", &conf_client, MANY(conf_listen, clients), .max = CONF_MAX_CLIENTS,
     .text =
         "Who may connect, in order: the first entry with the client's address decides, such "
         "as [ \"deny 10.1.0.0/16\", \"allow 10.0.0.0/8\" ]. What no entry matches is refused "
         "if the list has an allow, and otherwise accepted. A refused connection is closed "
         "at once. A load balancer in trusted is let in, and the address that it reports "
         "decides about each request: 403. Not given: everybody."},
    {"http2", &conf_bool, AT(conf_listen, http2), .def = "true",
     .text = "Offer HTTP/2 to clients that use TLS; those that do not know it use HTTP/1.1."},
    {"proxy_protocol", &conf_network, MANY(conf_listen, proxy_protocol),
     .max = CONF_MAX_TRUSTED,
     .text =
         "Networks of load balancers that begin each connection with a PROXY header, version "
         "1 or 2, before TLS. The client that it names is the client of the connection, for "
         "clients, trusted, the logs and X-Forwarded-For. A connection from these networks "
         "without a valid header is closed, after timeouts.handshake at the latest; one from "
         "any other address is a client's own. In place of trusted, for balancers that do not "
         "speak HTTP."},
    END};
static const struct conf_section listen_section = {
    "listen",
    "Sockets to listen on. Not given: *:443 with tls, and *:80 that redirects to it.",
    listen_rows,
    sizeof(struct conf_listen),
    NULL,
    NULL,
};
static const struct conf_section log_section = {
    "log",
    "Messages, on standard error, and the access log. No process ever waits for a reader: "
    "lines that a pipe, terminal, socket or full disk does not accept are buffered, up to 64 "
    "KiB in each process, and then lost; the number lost is logged as soon as writing works "
    "again, and is in the metrics log_lines_lost_total and access_lines_lost_total.",
    log_rows,
    sizeof(struct conf_log),
    NULL,
    NULL,
};

static const struct conf_setting tls_rows[] = {
    {"min_version", &conf_choice, AT(conf_tls, min_version), .def = "1.2",
     .choices = tls_versions,
     .text = "The oldest version of TLS that a client may use. Versions before 1.2 are broken "
             "and are never offered."},
    {"hsts", &conf_ms64, AT(conf_tls, hsts_ms), .def = "730d", .zero = "off",
     .max = 3650 * DAYS,
     .text = "How long browsers are told to insist on https (Strict-Transport-Security)."},
    {"hsts_subdomains", &conf_bool, AT(conf_tls, hsts_subdomains), .def = "false",
     .text = "Browsers are told to insist on https for every subdomain too. Off by default, "
             "because pasgate cannot know whether all of them have https."},
    {"ciphers", &conf_ciphers, AT(conf_tls, ciphers), .max = 1024,
     .def = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
            "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
     .text = "For TLS 1.2, as OpenSSL writes them. The default is the ciphers with forward "
             "secrecy and authenticated encryption."},
    {"ciphersuites", &conf_ciphers, AT(conf_tls, ciphersuites), .max = 1024,
     .def = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
     .text = "For TLS 1.3, as OpenSSL writes them."},
    {"groups", &conf_ciphers, AT(conf_tls, groups), .def = "auto", .max = 1024,
     .text = "Key exchange groups, as OpenSSL writes them; auto is X25519MLKEM768, X25519, "
             "P-256 and P-384, as far as this OpenSSL has them."},
    {"tickets", &conf_bool, AT(conf_tls, tickets), .def = "true",
     .text =
         "Issue session tickets, with which a returning client saves half of the handshake, at "
         "any worker. Their keys change every 12 hours and are never written to disk."},
    END};
static const struct conf_section tls_section = {
    "tls", "TLS with clients.", tls_rows, sizeof(struct conf_tls), NULL, NULL,
};

static const struct conf_setting limit_rows[] = {
    {"header_bytes", &conf_bytes, AT(conf_limits, header_bytes), .def = "64k", .min = 4 * KIB,
     .max = 64 * KIB,
     .text = "Header of a request or response, including the first line; more is 431, or 502."},
    {"header_fields", &conf_count, AT(conf_limits, header_fields), .def = "100", .min = 10,
     .max = 100, .text = "Fields in a header."},
    {"field_bytes", &conf_bytes, AT(conf_limits, field_bytes), .def = "16k", .min = 1 * KIB,
     .max = 64 * KIB,
     .text = "One field of a header, including its name; more is 431, or 502. Kerberos tokens "
             "with many groups need more, and a backend that accepts it (Tomcat: "
             "maxHttpRequestHeaderSize, 8k). header_bytes bounds all fields together."},
    {"target_bytes", &conf_bytes, AT(conf_limits, target_bytes), .def = "8k", .min = 1 * KIB,
     .max = 32 * KIB,
     .text = "Path and query of a request, both as received and as passed on; more is 414."},
    {"body", &conf_bytes64, AT(conf_limits, body_bytes), .def = "unlimited",
     .max = (uint64_t)1 << 50,
     .text = "Body of a request; more is 413. What exceeds request_buffer is streamed, so "
             "large bodies cost no memory here."},
    {"request_buffer", &conf_bytes, AT(conf_limits, request_buffer), .def = "64k",
     .zero = "off", .min = KIB, .max = 16 * MIB,
     .text = "How much of a request body is collected before the request takes a slot at a "
             "backend: a body that is complete by then costs the backend nothing while a slow "
             "client sends it. 64k is more than most forms and calls. off passes every piece "
             "on at once, for applications that respond while they read."},
    {"response_buffer", &conf_bytes, AT(conf_limits, response_buffer), .def = "128k",
     .zero = "off", .min = KIB, .max = 16 * MIB,
     .text = "How much of a response is read from the backend and kept while the client reads "
             "slowly: a response that fits frees the backend's slot and connection for another "
             "request. 128k is more than most pages and results. Nothing is held back that the "
             "client would read. Not for tunnels."},
    {"response_memory", &conf_bytes, AT(conf_limits, response_memory), .def = "64m",
     .min = 64 * KIB, .max = 2047 * MIB,
     .text = "The same for all responses of a worker together. Beyond it nothing is kept, and "
             "a backend is read only as fast as its client reads. 64m is enough for 512 slow "
             "readers."},
    {"memory", &conf_bytes, AT(conf_limits, memory), .def = "256m", .min = MIB,
     .max = 2047 * MIB,
     .text =
         "What all buffers of a worker's connections may hold: headers, bodies, responses. "
         "Beyond it new requests get 503, and no response is kept. Request bodies that are "
         "being collected may have half of it, and together with kept responses three "
         "quarters; beyond that, or when another request needs the memory, the slowest of "
         "these bodies ends with 408, and the status says so. Before that, the oldest request "
         "whose head is not complete after a second does. Listeners with serve = status "
         "are not bound by it: they have few connections. 256m is a request "
         "header (16k, while the request runs) for each of 16384 clients. TLS needs about "
         "20k more for each connection, which connections bounds."},
    {"min_body_rate", &conf_bytes, AT(conf_limits, min_body_rate), .def = "500", .zero = "off",
     .min = 1, .max = MIB,
     .text =
         "Bytes per second that a client must send a body with, on average, after an initial "
         "allowance of timeouts.body; a slower client gets 408. A fast burst earns at most 10 "
         "s of credit. Time spent waiting for the backend does not count. A 9600 bit/s modem "
         "sends twice as much; a client that sends less holds a slot rather than using it."},
    {"min_read_rate", &conf_bytes, AT(conf_limits, min_read_rate), .def = "500", .zero = "off",
     .min = 1, .max = MIB,
     .text = "Bytes per second that a client must read a response with, on average, after an "
             "initial allowance of timeouts.send; a slower client is reset. A fast burst earns "
             "at most 10 s of credit. Only time during which bytes are waiting for the client "
             "counts."},
    {"connections", &conf_count, AT(conf_limits, connections), .def = "16384", .min = 16,
     .max = 1000000,
     .text =
         "Client connections per worker. To make room for one more, the oldest connection "
         "is closed that has not sent a complete request head (or finished its TLS handshake) "
         "after a second, or else the one "
         "that has been idle longest between two requests; if there is none, "
         "accepting pauses, clients wait in the kernel's queue, and the status says so. If "
         "the host gives too few descriptors (LimitNOFILE of systemd, --ulimit nofile of "
         "Docker), the limit is lower: a third of them is reserved for connections to "
         "backends, and a log line and the metric connections_limit give the effective "
         "limit. Listeners with serve = status have 32 of their own, of which the oldest is "
         "closed to make room for one more."},
    {"upstream_keepalive", &conf_count, AT(conf_limits, upstream_keepalive), .def = "32",
     .max = 4096, .text = "Unused connections that a worker keeps open to each backend."},
    {"upstream_pinned", &conf_count, AT(conf_limits, upstream_pinned), .def = "1024",
     .max = 65536,
     .text = "The same for connections that belong to one client's connection because NTLM or "
             "Negotiate authenticated them; beyond this a connection is closed after its "
             "response. They are also closed together with the client's connection, each of "
             "which may have 4."},
    {"max_requests", &conf_count64, AT(conf_limits, max_requests), .def = "unlimited",
     .zero = "unlimited", .min = 1000, .max = (uint64_t)1 << 50, .flags = SOON,
     .text = "After this many requests a worker is replaced by a fresh one."},
    {"per_client", NULL, AT(conf_limits, per_client), .section = &conf_client_section,
     .text = "See below."},
    END};
static const struct conf_section limit_section = {
    "limits", "Limits on size, number and rate.", limit_rows, sizeof(struct conf_limits), NULL,
    NULL,
};

static const struct conf_setting tcp_rows[] = {
    {"keepalive", &conf_ms, AT(conf_tcp, keepalive_ms), .def = "30s", .zero = "off",
     .min = SECONDS, .max = HOURS,
     .text = "After this long without traffic, the kernel probes whether the other end is "
             "still there, and repeats that every third of this time; after three probes "
             "without a reply, or after user_timeout, the connection is closed."},
    {"user_timeout", &conf_ms, AT(conf_tcp, user_ms), .def = "60s", .zero = "off",
     .min = SECONDS, .max = HOURS,
     .text = "Sent data must be acknowledged within this time, or the connection is closed. It "
             "also bounds how long a peer may accept no data at all. off: the kernel's limit, "
             "about a quarter of an hour."},
    END};
static const struct conf_section tcp_section = {
    "tcp",
    "For connections to clients and backends whose other end vanished silently, through a loss "
    "of power or network. Only this ends what has no other limit: a call with first_byte = "
    "off, or an open tunnel.",
    tcp_rows,
    sizeof(struct conf_tcp),
    NULL,
    NULL,
};

static const struct conf_setting top_rows[] = {
    {"workers", &conf_workers, AT(conf, workers), .def = "auto",
     .text = "Processes that serve; auto is one per CPU."},
    {"user", &conf_name, AT(conf, user), .def = "", .flags = OPTIONAL,
     .text = "User that the children run as, if started as root. Not given: pasgate if there "
             "is one, else nobody."},
    {"pidfile", &conf_file, AT(conf, pidfile), .def = "/run/pasgate/pasgate.pid",
     .flags = OPTIONAL, .max = CONF_STRING_LEN,
     .text = "Where the pid is written, for other programs; \"\" for nowhere."},
    {"watch", &conf_bool, AT(conf, watch), .def = "false",
     .text = "Reload when the configuration file, or a file that it includes, changes."},
    {"stop_timeout", &conf_ms, AT(conf, stop_timeout_ms), .def = "30s", .min = 100 * MS,
     .max = HOURS,
     .text = "How long exchanges may take to finish when stopping or reloading. A stop also "
             "waits so long for a restart of a backend that has begun."},
    {"trusted", &conf_network, MANY(conf, trusted), .max = CONF_MAX_TRUSTED,
     .text = "Networks of load balancers in front of pasgate. X-Forwarded-For, -Proto, -Host, "
             "-Port and X-Real-IP, or else Forwarded, are believed only from them; from others "
             "these fields are dropped. The client is the first address from the right that is "
             "in none of these networks; redirects, Location, cookies, the access log and the "
             "fields for the backend follow what these fields say. Routes go by Host."},
    {"log", NULL, AT(conf, log), .section = &log_section, .text = "See below."},
    {"listen", NULL, MANY(conf, listen), .min = 1, .max = CONF_MAX_LISTENERS,
     .section = &listen_section, .text = "See below."},
    {"tls", NULL, AT(conf, tls), .section = &tls_section, .text = "See below."},
    {"acme", NULL, AT(conf, acme), .section = &conf_acme_section, .text = "See below."},
    {"certificates", NULL, .offset = offsetof(struct conf, certs),
     .count = offsetof(struct conf, n_certs), .flags = LIST, .max = CONF_MAX_CERTS,
     .section = &conf_cert_section, .text = "See below.",
     .more = "one can have 100 names, or a wildcard in place of many"},
    {"timeouts", NULL, AT(conf, timeouts), .section = &conf_timeout_section,
     .text = "See below."},
    {"tcp", NULL, AT(conf, tcp), .section = &tcp_section, .text = "See below."},
    {"limits", NULL, AT(conf, limits), .section = &limit_section, .text = "See below."},
    {"pools", NULL, MANY(conf, pools) | REQUIRED, .min = 1, .max = CONF_MAX_POOLS,
     .section = &conf_pool_section, .text = "See below."},
    {"routes", NULL, MANY(conf, routes), .min = 1, .max = CONF_MAX_ROUTES,
     .section = &conf_route_section, .text = "See below."},
    {"etcd", &conf_url, MANY(conf, etcd) | SOON, .max = CONF_MAX_LIST,
     .text = "Where several load balancers share certificates and who may issue them."},
    END};
const struct conf_section conf_top = {NULL, NULL, top_rows, sizeof(struct conf), NULL, NULL};
/* clang-format on */
