/* conf_table.c - every setting of pasgate.conf, once; with conf_table_acme.c and
 * conf_table_pools.c. See conf_table.h.
 *
 * The texts are the manual's: one sentence or two, what it does and why the default is safe.
 * They are mdoc, where a line may not start with a dot and \e is a backslash. */
#include "base/conf_rows.h"

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
static const struct conf_choice tls_versions[] = {
    {"1.2", CONF_TLS_1_2, 0}, {"1.3", CONF_TLS_1_3, 0}, {NULL, 0, 0}};

/* clang-format off: a table reads best with one setting per paragraph */

static const struct conf_setting log_rows[] = {
    {"level", &conf_choice, AT(conf_log, level), .def = "info", .choices = log_levels,
     .text = "Messages of this weight and above are written, to the standard error."},
    {"format", &conf_choice, AT(conf_log, format), .def = "json", .choices = log_formats,
     .text = "One JSON object per line, or a line for people."},
    {"access", &conf_access, .offset = 0, .def = "stdout",
     .text = "Where the line of each exchange goes. A file is opened again at SIGUSR1."},
    {"access_format", &conf_choice, AT(conf_log, access_format), .def = "json",
     .choices = access_formats,
     .text = "What that line looks like; combined is that of Apache and has no room for the "
             "reasons."},
    END};

static const struct conf_setting listen_rows[] = {
    {"address", &conf_listener, .offset = 0, .flags = REQUIRED,
     .text = "Address and port. *:443 takes IPv6 and IPv4, where the host has both."},
    {"tls", &conf_bool, AT(conf_listen, tls), .def = "false",
     .text = "Clients speak TLS here. Needs a certificate."},
    {"redirect", &conf_choice, AT(conf_listen, redirect), .def = "none", .choices = redirects,
     .text =
         "Send every request to https instead, but for ACME challenges, which are answered, "
         "and APSV, which is refused: its clients take any redirect for a failure."},
    {"redirect_port", &conf_port, AT(conf_listen, redirect_port), .def = "auto", .zero = "auto",
     .min = 1, .max = 65535,
     .text = "The port that clients reach https at, if a container or firewall maps it; auto "
             "is that of the first listener with tls."},
    {"serve", &conf_choice, AT(conf_listen, serve), .def = "proxy", .choices = serves,
     .text = "What is served: the routes, or the status and metrics pages. Those are for an "
             "internal address."},
    {"http2", &conf_bool, AT(conf_listen, http2), .def = "false", .flags = SOON,
     .text = "Offer HTTP/2 to clients."},
    {"proxy_protocol", &conf_bool, AT(conf_listen, proxy_protocol), .def = "false",
     .flags = SOON,
     .text = "Each connection begins with a PROXY protocol header from a balancer before this "
             "one."},
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
    "log", "Messages and the access log.", log_rows, sizeof(struct conf_log), NULL, NULL,
};

static const struct conf_setting tls_rows[] = {
    {"min_version", &conf_choice, AT(conf_tls, min_version), .def = "1.2",
     .choices = tls_versions,
     .text = "The oldest version of TLS that a client may speak. Older ones than 1.2 are "
             "broken and not offered at all."},
    {"hsts", &conf_ms64, AT(conf_tls, hsts_ms), .def = "730d", .zero = "off",
     .max = 3650 * DAYS,
     .text = "How long browsers shall insist on https (Strict-Transport-Security)."},
    {"hsts_subdomains", &conf_bool, AT(conf_tls, hsts_subdomains), .def = "false",
     .text = "They shall for every name below this one, too. Off, since nothing here can know "
             "whether all of them have https."},
    {"ciphers", &conf_ciphers, AT(conf_tls, ciphers), .max = 1024,
     .def = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
            "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
            "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
     .text = "For TLS 1.2, in OpenSSL's spelling. The default is those with forward secrecy "
             "and authenticated encryption."},
    {"ciphersuites", &conf_ciphers, AT(conf_tls, ciphersuites), .max = 1024,
     .def = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
     .text = "For TLS 1.3, in OpenSSL's spelling."},
    {"groups", &conf_ciphers, AT(conf_tls, groups), .def = "auto", .max = 1024,
     .text = "Key exchange groups, in OpenSSL's spelling; auto is X25519MLKEM768, X25519, "
             "P-256 and P-384, as far as this OpenSSL has them."},
    {"tickets", &conf_bool, AT(conf_tls, tickets), .def = "true",
     .text = "Give session tickets, with which a client that comes back saves half of the "
             "handshake at any worker. Their keys change every 12 hours and are on no disk."},
    END};
static const struct conf_section tls_section = {
    "tls", "TLS with clients.", tls_rows, sizeof(struct conf_tls), NULL, NULL,
};

static const struct conf_setting timeout_rows[] = {
    {"handshake", &conf_ms, AT(conf_timeouts, handshake_ms), .def = "10s", .min = 100 * MS,
     .max = 10 * MINUTES, .text = "The whole TLS handshake."},
    {"header", &conf_ms, AT(conf_timeouts, header_ms), .def = "10s", .min = 100 * MS,
     .max = 10 * MINUTES,
     .text = "The whole header of a request, from its first byte; then 408."},
    {"body", &conf_ms, AT(conf_timeouts, body_ms), .def = "30s", .min = 100 * MS, .max = HOURS,
     .flags = IN_ROUTE, .text = "A client that is sending a body, between two pieces of it."},
    {"idle", &conf_ms, AT(conf_timeouts, idle_ms), .def = "60s", .min = 100 * MS, .max = HOURS,
     .text = "A client's connection between two requests."},
    {"send", &conf_ms, AT(conf_timeouts, send_ms), .def = "30s", .min = 100 * MS, .max = HOURS,
     .flags = IN_ROUTE, .text = "A client that does not read its answer."},
    {"connect", &conf_ms, AT(conf_timeouts, connect_ms), .def = "3s", .min = 10 * MS,
     .max = MINUTES, .flags = IN_ROUTE,
     .text = "A connection to a backend; then the next backend is tried."},
    {"first_byte", &conf_ms, AT(conf_timeouts, first_byte_ms), .def = "60s", .zero = "off",
     .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text = "A backend's answer, from the end of the request; then 504. For requests whose "
             "ABL runs long, set it on their route."},
    {"response_idle", &conf_ms, AT(conf_timeouts, response_idle_ms), .def = "60s",
     .zero = "off", .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text = "A backend that is sending an answer, between two pieces of it."},
    {"tunnel", &conf_ms, AT(conf_timeouts, tunnel_ms), .def = "10m", .zero = "off",
     .min = 100 * MS, .max = 7 * DAYS, .flags = IN_ROUTE,
     .text = "A WebSocket on which nothing moves either way."},
    {"upstream_idle", &conf_ms, AT(conf_timeouts, upstream_idle_ms), .def = "15s",
     .min = 100 * MS, .max = HOURS,
     .text = "An unused connection to a backend. Tomcat closes its end after 20 seconds, and "
             "this has to come first."},
    END};
const struct conf_section conf_timeout_section = {
    "timeouts",   "How long each part of an exchange may take.",
    timeout_rows, sizeof(struct conf_timeouts),
    NULL,         NULL,
};

static const struct conf_setting limit_rows[] = {
    {"header_bytes", &conf_bytes, AT(conf_limits, header_bytes), .def = "64k", .min = 4 * KIB,
     .max = 64 * KIB,
     .text = "Header of a request or answer, with its first line; more is 431, or 502."},
    {"header_fields", &conf_count, AT(conf_limits, header_fields), .def = "100", .min = 10,
     .max = 100, .text = "Fields in it."},
    {"body", &conf_bytes64, AT(conf_limits, body_bytes), .def = "unlimited",
     .max = (uint64_t)1 << 50,
     .text = "Body of a request; more is 413. Bodies are passed on as they come, so no size "
             "costs memory here."},
    {"connections", &conf_count, AT(conf_limits, connections), .def = "16384", .min = 16,
     .max = 1000000, .text = "Clients per worker. Those beyond wait in the kernel's queue."},
    {"upstream_keepalive", &conf_count, AT(conf_limits, upstream_keepalive), .def = "32",
     .max = 4096, .text = "Unused connections that a worker keeps to each backend."},
    {"max_requests", &conf_count64, AT(conf_limits, max_requests), .def = "unlimited",
     .zero = "unlimited", .min = 1000, .max = (uint64_t)1 << 50, .flags = SOON,
     .text = "After so many, a worker hands over to a fresh one."},
    END};
static const struct conf_section limit_section = {
    "limits", "How much of everything.", limit_rows, sizeof(struct conf_limits), NULL, NULL,
};

static const struct conf_setting top_rows[] = {
    {"workers", &conf_workers, AT(conf, workers), .def = "auto",
     .text = "Processes that serve; auto is one per CPU."},
    {"user", &conf_name, AT(conf, user), .def = "", .flags = OPTIONAL,
     .text = "User that the children run as, if started as root. Not given: pasgate if there "
             "is one, else nobody."},
    {"pidfile", &conf_file, AT(conf, pidfile), .def = "/run/pasgate/pasgate.pid",
     .flags = OPTIONAL, .max = CONF_STRING_LEN,
     .text = "Where the pid is written, for the other commands; \"\" for nowhere."},
    {"watch", &conf_bool, AT(conf, watch), .def = "false",
     .text = "Reload when the file, or one that it includes, changes."},
    {"stop_timeout", &conf_ms, AT(conf, stop_timeout_ms), .def = "30s", .min = 100 * MS,
     .max = HOURS, .text = "How long exchanges may take to finish when stopping or reloading."},
    {"trusted", &conf_network, MANY(conf, trusted), .max = CONF_MAX_TRUSTED,
     .text = "Networks of balancers before this one. Only what they say in X-Forwarded-* and "
             "Forwarded is believed; from others it is dropped."},
    {"log", NULL, AT(conf, log), .section = &log_section, .text = "See below."},
    {"listen", NULL, MANY(conf, listen), .min = 1, .max = CONF_MAX_LISTENERS,
     .section = &listen_section, .text = "See below."},
    {"tls", NULL, AT(conf, tls), .section = &tls_section, .text = "See below."},
    {"acme", NULL, AT(conf, acme), .section = &conf_acme_section, .text = "See below."},
    {"certificates", NULL, .offset = offsetof(struct conf, certs),
     .count = offsetof(struct conf, n_certs), .flags = LIST, .max = CONF_MAX_CERTS,
     .section = &conf_cert_section, .text = "See below."},
    {"timeouts", NULL, AT(conf, timeouts), .section = &conf_timeout_section,
     .text = "See below."},
    {"limits", NULL, AT(conf, limits), .section = &limit_section, .text = "See below."},
    {"pools", NULL, MANY(conf, pools) | REQUIRED, .min = 1, .max = CONF_MAX_POOLS,
     .section = &conf_pool_section, .text = "See below."},
    {"routes", NULL, MANY(conf, routes), .min = 1, .max = CONF_MAX_ROUTES,
     .section = &conf_route_section, .text = "See below."},
    {"etcd", &conf_url, MANY(conf, etcd) | SOON, .max = CONF_MAX_LIST,
     .text = "Where several balancers share certificates and who may issue them."},
    END};
const struct conf_section conf_top = {NULL, NULL, top_rows, sizeof(struct conf), NULL, NULL};
/* clang-format on */
