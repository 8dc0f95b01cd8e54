/* conf_table.c - every setting of pasgate.conf, once. See conf_table.h.
 *
 * The texts are the manual's: one sentence or two, what it does and why the default is safe.
 * They are mdoc, where a line may not start with a dot and \e is a backslash. */
#include "base/conf_table.h"

#include <stdint.h>

#include "base/conf_kind.h"

#define MS      1
#define SECONDS 1000
#define MINUTES (60 * SECONDS)
#define HOURS   (60 * MINUTES)
#define DAYS    ((uint64_t)24 * HOURS)
#define KIB     1024
#define MIB     (1024 * KIB)

#define AT(type, field) .offset = offsetof(struct type, field)
#define MANY(type, field)                                                              \
    .offset = offsetof(struct type, field), .count = offsetof(struct type, n_##field), \
    .flags = LIST
#define END          \
    {                \
        .name = NULL \
    }

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
static const struct conf_choice key_types[] = {{"p256", CONF_KEY_P256, 0},
                                               {"p384", CONF_KEY_P384, 0},
                                               {"rsa2048", CONF_KEY_RSA2048, 0},
                                               {"rsa4096", CONF_KEY_RSA4096, 0},
                                               {NULL, 0, 0}};
static const struct conf_choice stickies[] = {{"auto", CONF_STICKY_AUTO, 0},
                                              {"route", CONF_STICKY_ROUTE, 0},
                                              {"cookie", CONF_STICKY_COOKIE, 0},
                                              {"none", CONF_STICKY_NONE, 0},
                                              {NULL, 0, 0}};
static const struct conf_choice discovers[] = {
    {"none", CONF_DISCOVER_NONE, 0}, {"dns", CONF_DISCOVER_DNS, 0}, {NULL, 0, 0}};
static const struct conf_choice classes[] = {
    {"auto", CONF_CLASS_AUTO, 0}, {"web", CONF_CLASS_WEB, 0},   {"rest", CONF_CLASS_REST, 0},
    {"soap", CONF_CLASS_SOAP, 0}, {"apsv", CONF_CLASS_APSV, 0}, {NULL, 0, 0},
};
const struct conf_choice conf_retry_reasons[] = {
    {"none", CONF_RETRY_NONE, 0},
    {"connect", CONF_RETRY_CONNECT, 0},
    {"empty", CONF_RETRY_EMPTY, 0},
    {"verdict", CONF_RETRY_VERDICT, 0},
    {"cut", CONF_RETRY_CUT, 0},
    {"500", CONF_RETRY_500, 0},
    {"502", CONF_RETRY_502, 0},
    {"503", CONF_RETRY_503, 0},
    {"504", CONF_RETRY_504, 0},
    {"timeout", CONF_RETRY_TIMEOUT, 0},
    {NULL, 0, 0},
};
const struct conf_choice conf_states[] = {{"ready", CONF_STATE_READY, 0},
                                          {"drain", CONF_STATE_DRAIN, 0},
                                          {"maint", CONF_STATE_MAINT, 0},
                                          {NULL, 0, 0}};
const struct conf_choice conf_balances[] = {{"roundrobin", CONF_BALANCE_ROUNDROBIN, 0},
                                            {"leastconn", CONF_BALANCE_LEASTCONN, 0},
                                            {NULL, 0, 0}};
const struct conf_choice conf_check_types[] = {{"tcp", CONF_CHECK_TCP, 0},
                                               {"http", CONF_CHECK_HTTP, 0},
                                               {"pasoe", CONF_CHECK_PASOE, 0},
                                               {NULL, 0, 0}};

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

static const struct conf_setting eab_rows[] = {
    {"kid", &conf_string, AT(conf_acme, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that the CA gave."},
    {"hmac_key", &conf_string, AT(conf_acme, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that the CA gave, in base64url."},
    END};
static const struct conf_section eab_section = {NULL, NULL, eab_rows, sizeof(struct conf_acme),
                                                NULL, NULL};

static const struct conf_setting fallback_eab_rows[] = {
    {"kid", &conf_string, AT(conf_fallback, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that this CA gave."},
    {"hmac_key", &conf_string, AT(conf_fallback, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that this CA gave, in base64url."},
    END};
static const struct conf_section fallback_eab_section = {
    NULL, NULL, fallback_eab_rows, sizeof(struct conf_fallback), NULL, NULL};

static const struct conf_setting fallback_rows[] = {
    {"directory", &conf_directory, AT(conf_fallback, directory), .def = "", .flags = OPTIONAL,
     .text = "The second CA. It gets an account of its own."},
    {"after", &conf_count, AT(conf_fallback, after), .def = "3", .min = 1, .max = 100,
     .text = "Failures in a row that the first CA may be the cause of: not reached, limits, "
             "errors of its own. A name that it refuses or cannot prove does not count."},
    {"email", &conf_email, AT(conf_fallback, email), .def = "", .flags = OPTIONAL,
     .text = "Whom this CA may write to; else the email of acme."},
    {"eab", NULL, .offset = 0, .section = &fallback_eab_section,
     .text = "External account binding, if this CA wants it."},
    {"profile", &conf_string, AT(conf_fallback, profile), .def = "", .flags = OPTIONAL,
     .max = 64, .text = "Certificate profile to ask this CA for."},
    {"ca_file", &conf_file, AT(conf_fallback, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the roots that this CA's own server is verified with; else those of "
             "the system."},
    END};
static const struct conf_section fallback_section = {
    "acme.fallback",
    "A second CA. It is asked, in turn with the first one, when that has failed for some time; "
    "the next renewal begins with the first one again.",
    fallback_rows,
    sizeof(struct conf_fallback),
    NULL,
    NULL,
};

static const struct conf_setting acme_rows[] = {
    {"directory", &conf_directory, AT(conf_acme, directory), .def = "letsencrypt",
     .text = "The CA to order certificates from."},
    {"email", &conf_email, AT(conf_acme, email), .def = "", .flags = OPTIONAL,
     .text = "Whom the CA may write to about them. Without it nothing is ordered from Let's "
             "Encrypt, so that a test or a demonstration never is by mistake."},
    {"agree_tos", &conf_bool, AT(conf_acme, agree_tos), .def = "true",
     .text =
         "You agree to the terms of service of the CA. With false, nothing can be ordered."},
    {"store", &conf_file, AT(conf_acme, store), .def = "/var/lib/pasgate",
     .max = CONF_STRING_LEN, .text = "Folder of accounts, keys and certificates."},
    {"eab", NULL, .offset = 0, .section = &eab_section,
     .text = "External account binding, for a CA that wants it."},
    {"challenges", &conf_challenge, MANY(conf_acme, challenges), .max = 3,
     .text = "How a name is proved, the preferred way first; when one fails, the next order "
             "tries another, and a renewal begins with the one that worked. Not given: "
             "http-01, which needs port 80 of every name to lead here, then tls-alpn-01, which "
             "needs port 443. dns-01 calls the hook, and is what a wildcard needs."},
    {"staging", &conf_staging, AT(conf_acme, staging), .def = "auto",
     .text = "Where an order is rehearsed after it failed, until it succeeds, so that the "
             "limits of the CA are kept for real ones; what comes of it is thrown away. auto "
             "is that of Let's Encrypt, and none for any other CA."},
    {"fallback", NULL, AT(conf_acme, fallback), .section = &fallback_section,
     .text = "See below."},
    {"preflight", &conf_bool, AT(conf_acme, preflight), .def = "true",
     .text = "Look before each order whether the names lead here and whether CAA records "
             "forbid the CA; what is found stands in the status."},
    {"http_port", &conf_port, AT(conf_acme, http_port), .def = "80", .min = 1, .max = 65535,
     .text = "Port at which the CA looks for http-01: 80 for every CA but one for tests. The "
             "preflight looks there, too."},
    {"resolver", &conf_resolver, AT(conf_acme, resolver), .def = "", .flags = OPTIONAL,
     .text = "DNS server that the preflight asks, for a network whose own one tells another "
             "story than the Internet; else that of the system."},
    {"profile", &conf_string, AT(conf_acme, profile), .def = "", .flags = OPTIONAL, .max = 64,
     .text =
         "Certificate profile to ask for, such as shortlived, which Let's Encrypt wants for "
         "IP addresses."},
    {"preferred_chain", &conf_string, AT(conf_acme, preferred_chain), .def = "",
     .flags = OPTIONAL, .max = 128,
     .text = "Common name of an issuer, such as that of a root. Where the CA offers several "
             "chains, the one that leads there is taken; if none does, the first."},
    {"ca_file", &conf_file, AT(conf_acme, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the roots that the CA's own server is verified with; else those of "
             "the system."},
    {"hook", &conf_file, AT(conf_acme, hook), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "Program to call for dns-01, when a certificate came or was renewed, once an hour "
             "while one cannot be had, and once a day when files of yours end soon. Its "
             "environment tells what: PASGATE_EVENT is issued, renewed, failed, expiring, "
             "dns-put or dns-drop."},
    END};
static const struct conf_section acme_section = {
    "acme",
    "How certificates are ordered. Until one has come, and for a name that no CA would sign, "
    "such as localhost, a temporary self-signed one is served. From Let's Encrypt only names "
    "of the public Internet are ordered; from any other directory, all of them.",
    acme_rows,
    sizeof(struct conf_acme),
    NULL,
    NULL,
};

static const struct conf_setting cert_rows[] = {
    {"names", &conf_cert_name, MANY(conf_cert, names) | REQUIRED, .min = 1,
     .max = CONF_MAX_NAMES,
     .text = "Host names and IP addresses. A client that asks for one of them gets this "
             "certificate."},
    {"name", &conf_name, AT(conf_cert, name), .def = "", .flags = OPTIONAL,
     .text =
         "What the certificate is called in status and commands; else the first of its names."},
    {"acme", &conf_bool, AT(conf_cert, acme), .def = "false",
     .text = "Order it by ACME. This is what happens if neither chain and key nor self_signed "
             "are given."},
    {"self_signed", &conf_bool, AT(conf_cert, self_signed), .def = "false",
     .text = "Make it here and order nothing: for tests and demonstrations."},
    {"chain", &conf_file, AT(conf_cert, chain), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the certificate and those above it. It is watched, and goes live "
             "when it and the key fit together again."},
    {"key", &conf_file, AT(conf_cert, key), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of its key. Only root needs to be able to read it."},
    {"key_type", &conf_choice, AT(conf_cert, key_type), .def = "p256", .choices = key_types,
     .text = "The key of one that is ordered, from the next order on. P-256 is what every "
             "client understands, and the fastest."},
    {"challenges", &conf_challenge, MANY(conf_cert, challenges), .max = 3,
     .text = "How its names are proved; else as acme.challenges says."},
    END};
static const struct conf_section cert_section = {
    "certificates", "Certificates. A client that asks for none of their names gets the first.",
    cert_rows,      sizeof(struct conf_cert),
    NULL,           NULL,
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
static const struct conf_section timeout_section = {
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

static const struct conf_setting check_rows[] = {
    {"type", &conf_choice, AT(conf_check, type), .def = "http", .choices = conf_check_types,
     .text = "What a backend has to do: take a connection; answer a GET; or answer the ping "
             "service of PAS, which runs ABL and so proves that agents work."},
    {"path", &conf_checkpath, AT(conf_check, path), .def = "", .flags = OPTIONAL,
     .text = "What to ask for. Not given: / for http, /rest/_oepingService/_oeping for pasoe."},
    {"port", &conf_port, AT(conf_check, port), .def = "same", .zero = "same", .min = 1,
     .max = 65535,
     .text = "Where to ask, as 8899 for the HealthScanner; same is the backend's own port."},
    {"host", &conf_host, AT(conf_check, host), .def = "", .flags = OPTIONAL,
     .text = "Host field of the request; else the backend's address."},
    {"status", &conf_status, MANY(conf_check, status), .min = 1, .max = CONF_MAX_LIST,
     .text = "Status codes of a good answer. Not given: 200-399; or 200-499 for http without a "
             "path, where any answer but an error of the server's proves that it works; or 200 "
             "for pasoe."},
    {"body", &conf_string, AT(conf_check, body), .def = "", .flags = OPTIONAL,
     .text = "Text that has to occur in the answer."},
    {"interval", &conf_ms, AT(conf_check, interval_ms), .def = "5s", .min = 100 * MS,
     .max = HOURS, .text = "From one check to the next."},
    {"fast_interval", &conf_ms, AT(conf_check, fast_interval_ms), .def = "1s", .min = 100 * MS,
     .max = HOURS,
     .text = "The same while the verdict is about to change, or the workers see failures."},
    {"down_interval", &conf_ms, AT(conf_check, down_interval_ms), .def = "2s", .min = 100 * MS,
     .max = HOURS, .text = "The same while the backend is down."},
    {"timeout", &conf_ms, AT(conf_check, timeout_ms), .def = "2s", .min = 10 * MS,
     .max = 10 * MINUTES, .text = "For a whole check."},
    {"rise", &conf_count, AT(conf_check, rise), .def = "2", .min = 1, .max = 100,
     .text = "Good checks in a row that bring a backend up."},
    {"fall", &conf_count, AT(conf_check, fall), .def = "3", .min = 1, .max = 100,
     .text = "Failed checks in a row that take it down."},
    {"jitter", &conf_count, AT(conf_check, jitter_percent), .def = "10", .max = 50,
     .text = "Per cent by which each interval varies, so that checks do not march in step."},
    END};
static const struct conf_section check_section = {
    "pools.check", "How healthd asks each backend of a pool.",
    check_rows,    sizeof(struct conf_check),
    NULL,          NULL,
};

static const struct conf_setting queue_rows[] = {
    {"size", &conf_count, AT(conf_queue, size), .def = "256", .max = 65536,
     .text = "Requests that may wait per backend, all workers together; more is 503 at once."},
    {"timeout", &conf_ms, AT(conf_queue, timeout_ms), .def = "10s", .min = 10 * MS,
     .max = 10 * MINUTES, .text = "How long one waits; then 503 with Retry-After."},
    END};
static const struct conf_section queue_section = {
    "pools.queue", "Requests that wait because every backend has max_in_flight.",
    queue_rows,    sizeof(struct conf_queue),
    NULL,          NULL,
};

static const struct conf_setting restart_rows[] = {
    {"docker", &conf_name, AT(conf_backend, restart_docker), .def = "", .flags = OPTIONAL,
     .text = "Name of its container: the Docker Engine stops and starts it, and it counts as "
             "restarted when it runs and, where its image has a HEALTHCHECK, is healthy."},
    {"command", &conf_string, MANY(conf_backend, restart_command), .max = CONF_MAX_LIST,
     .text =
         "Program and arguments that restart it; no shell is between. It gets PATH, "
         "PASGATE_BACKEND, PASGATE_ADDRESS, PASGATE_POOL, PASGATE_INCIDENT and "
         "PASGATE_REASON, runs as the user that started pasgate and cannot become another, and "
         "succeeds with exit code 0. Not together with docker."},
    {"timeout", &conf_ms, AT(conf_backend, restart_timeout_ms), .def = "120s", .min = SECONDS,
     .max = HOURS, .text = "How long the whole restart may take."},
    {"stop_timeout", &conf_ms, AT(conf_backend, restart_stop_ms), .def = "30s", .min = SECONDS,
     .max = HOURS,
     .text = "How long the container may take to stop before it is killed; also how long the "
             "command may go on after SIGTERM, which it gets when its time is over."},
    {"socket", &conf_file, AT(conf_backend, restart_socket), .def = "/var/run/docker.sock",
     .max = CONF_SOCKET_LEN, .text = "Where the Docker Engine, or a proxy before it, listens."},
    {"oemanager", &conf_string, AT(conf_backend, restart_oemanager), .def = "",
     .flags = OPTIONAL, .max = 255,
     .text = "Name and password, with a colon between, for the oemanager of this instance, if "
             "it has one: before a restart its agents, requests and figures are saved. Best "
             "taken from the environment."},
    END};
static const struct conf_section restart_section = {
    "pools.backends.restart",
    "How this instance is restarted, on an operator's wish or when it stays ill. Without it "
    "pasgate restarts nothing.",
    restart_rows,
    sizeof(struct conf_backend),
    NULL,
    NULL,
};

static void backend_init(void *record, const void *parent, const struct conf *conf)
{
    (void)conf;
    ((struct conf_backend *)record)->max_in_flight =
        ((const struct conf_pool *)parent)->max_in_flight;
}

static const struct conf_setting backend_rows[] = {
    {"address", &conf_hostport, .offset = 0, .flags = REQUIRED,
     .text = "Host and port. A name is looked up again when the backend comes back elsewhere."},
    {"name", &conf_name, AT(conf_backend, name), .def = "", .flags = OPTIONAL,
     .text = "What it is called in logs, status and commands, once in the whole file; else its "
             "host. Its history and an operator's wish stay with the name over reloads."},
    {"route", &conf_name, AT(conf_backend, route), .def = "", .flags = OPTIONAL,
     .text = "Its jvmRoute (psc.as.alias), for sticky = \"route\"; else its name."},
    {"weight", &conf_count, AT(conf_backend, weight), .def = "1", .min = 1, .max = 1000,
     .text = "Its share, in proportion to those of the others."},
    {"max_in_flight", &conf_count, AT(conf_backend, max_in_flight), .zero = "unlimited",
     .min = 1, .max = 1000000,
     .text =
         "Requests that it may have at one time, all workers together; else that of the pool."},
    {"state", &conf_choice, AT(conf_backend, state), .def = "ready", .choices = conf_states,
     .text = "drain: no new sessions, those that it has go on. maint: nothing."},
    {"restart", NULL, .offset = 0, .section = &restart_section, .text = "See below."},
    END};
static const struct conf_section backend_section = {
    "pools.backends",
    "The instances of a pool. A bare string in the list is an address: backends = [ "
    "\"pas1:8810\", \"pas2:8810\" ].",
    backend_rows,
    sizeof(struct conf_backend),
    "address",
    backend_init,
};

static const struct conf_setting eject_rows[] = {
    {"failures", &conf_count, AT(conf_eject, failures), .def = "5", .zero = "off", .min = 2,
     .max = 1000,
     .text =
         "Requests in a row that fail, over all workers: refused, reset, not answered or "
         "cut in the middle. Half as many do if that goes on for half of the window, and as "
         "many within it if they are more than half of its requests. An answer of 500 is no "
         "failure: it is the application's "
         "business."},
    {"window", &conf_ms, AT(conf_eject, window_ms), .def = "5s", .min = SECONDS,
     .max = 10 * MINUTES,
     .text = "What is looked back on. A backend at which several requests wait and none was "
             "answered for most of this time, while others of the pool answer, is put aside "
             "too; the more usual long waits are in the pool, the more have to wait."},
    {"time", &conf_ms, AT(conf_eject, time_ms), .def = "10s", .min = 100 * MS, .max = HOURS,
     .text = "How long the first time. Each further time is twice as long."},
    {"max_time", &conf_ms, AT(conf_eject, max_ms), .def = "300s", .min = 100 * MS,
     .max = 24 * HOURS,
     .text = "But no longer than this; and after so long without another, "
             "the next one is half as long again."},
    {"gateway_percent", &conf_count, AT(conf_eject, gateway_percent), .def = "off",
     .zero = "off", .min = 1, .max = 100,
     .text = "Per cent of the answers in the window which, if they are 502, 503 or 504 made by "
             "the backend itself, count as illness. PAS makes them for busy and broken agents, "
             "and applications make them too, so this is off."},
    END};
static const struct conf_section eject_section = {
    "pools.eject",
    "When a backend is put aside because of what its requests meet, although its checks pass. "
    "After that time it is tried with single requests that can be sent again elsewhere. Never "
    "so that fewer than min_healthy would be left, nor if all of a pool fail alike.",
    eject_rows,
    sizeof(struct conf_eject),
    NULL,
    NULL,
};

static const struct conf_setting heal_rows[] = {
    {"after", &conf_ms, AT(conf_pool, heal_after_ms), .def = "10s", .min = 100 * MS,
     .max = 24 * HOURS,
     .text = "A backend whose checks have failed for so long is restarted; one that was never "
             "up yet gets ten times as long, to boot. One that is put aside for the third time "
             "in a row is restarted too."},
    {"max_restarts", &conf_count, AT(conf_pool, max_restarts), .def = "3", .min = 1, .max = 100,
     .text =
         "Restarts of one backend in an hour. If it is ill again after so many, it is held, "
         "and nothing is done until a person says ready or restart."},
    {"hold_down", &conf_ms, AT(conf_pool, heal_hold_down_ms), .def = "60s", .min = 100 * MS,
     .max = HOURS,
     .text = "Time from the end of a restart to the next one of the same backend; it doubles "
             "with each restart of the last hour."},
    {"verify", &conf_ms, AT(conf_pool, heal_verify_ms), .def = "180s", .min = SECONDS,
     .max = HOURS,
     .text =
         "After its restart, a backend has to pass its checks within this time. PAS takes a "
         "minute or more until its agents serve."},
    {"dry_run", &conf_bool, AT(conf_pool, heal_dry_run), .def = "false",
     .text =
         "Nothing is restarted because it is ill: log and history tell what would have been "
         "done. An operator's restart is carried out."},
    END};
static const struct conf_section heal_section = {
    "pools.heal",
    "How backends are restarted that stay ill: those that have a restart action, one of a pool "
    "at a time, and never so that fewer than min_healthy would be left.",
    heal_rows,
    sizeof(struct conf_pool),
    NULL,
    NULL,
};

static const struct conf_setting pool_rows[] = {
    {"name", &conf_name, AT(conf_pool, name), .flags = REQUIRED,
     .text = "What routes and status call it."},
    {"balance", &conf_choice, AT(conf_pool, balance), .def = "leastconn",
     .choices = conf_balances,
     .text = "The next request goes to the backend with the fewest in flight, over all "
             "workers, or to the next in turn; both by weight."},
    {"sticky", &conf_choice, AT(conf_pool, sticky), .def = "auto", .choices = stickies,
     .text =
         "Who has a session stays with its backend. auto puts a tag of pasgate's own behind "
         "the JSESSIONID that PAS hands out, and takes it off again: instances may share one "
         "jvmRoute, as containers of one image do. route goes by the jvmRoute that is in a "
         "JSESSIONID; cookie by a cookie of its own, PASGATE_ and the pool's name. Links with "
         ";jsessionid= inside of pages are not rewritten: with auto they need the cookie. "
         "APSV goes by CONNHDL too. A session whose backend is gone gets another one."},
    {"max_in_flight", &conf_count, AT(conf_pool, max_in_flight), .def = "300",
     .zero = "unlimited", .min = 1, .max = 1000000,
     .text = "Requests that each backend may have at one time, all workers together. 300 is "
             "the number of threads that PAS serves with."},
    {"retries", &conf_count, AT(conf_pool, retries), .def = "2", .max = 10,
     .text =
         "Further attempts on other backends, for what retry_on of the route names. Of all "
         "that runs in a pool, at most a fifth, but three, may be such; those beyond wait."},
    {"check", NULL, AT(conf_pool, check), .section = &check_section, .text = "See below."},
    {"eject", NULL, AT(conf_pool, eject), .section = &eject_section, .text = "See below."},
    {"queue", NULL, AT(conf_pool, queue), .section = &queue_section, .text = "See below."},
    {"slow_start", &conf_ms, AT(conf_pool, slow_start_ms), .def = "60s", .zero = "off",
     .min = 100 * MS, .max = HOURS,
     .text = "A backend that comes back, or is new, begins with a tenth of its weight and has "
             "all of it after this time. Sessions are not held back, and shares are "
             "relative: an only backend gets everything."},
    {"drain_timeout", &conf_ms, AT(conf_pool, drain_timeout_ms), .def = "300s", .zero = "off",
     .min = SECONDS, .max = 7 * DAYS,
     .text = "How long a drain waits for requests and sessions to end. What is left then is "
             "cut: requests that are safe and unanswered move to another backend, the others "
             "end. off waits for ever."},
    {"session_idle", &conf_ms, AT(conf_pool, session_idle_ms), .def = "2m", .min = SECONDS,
     .max = DAYS,
     .text = "How long after its last request a session counts as live for a drain, at "
             "least; it may be twice that. A user who pauses for longer gets a new session "
             "at another backend."},
    {"min_healthy", &conf_count, AT(conf_pool, min_healthy), .def = "1",
     .max = CONF_MAX_BACKENDS,
     .text = "So many other backends have to be up and ready before one is restarted, or put "
             "aside by eject. An "
             "operator may restart one that is down whatever the others are, and any with "
             "--force."},
    {"discover", &conf_choice, AT(conf_pool, discover), .def = "none", .choices = discovers,
     .flags = SOON, .text = "Where the list of backends comes from."},
    {"heal", NULL, .offset = 0, .section = &heal_section, .text = "See below."},
    {"backends", NULL, MANY(conf_pool, backends) | REQUIRED, .min = 1, .max = CONF_MAX_BACKENDS,
     .section = &backend_section, .text = "See below."},
    END};
static const struct conf_section pool_section = {
    "pools",   "Groups of instances that run the same application.",
    pool_rows, sizeof(struct conf_pool),
    NULL,      NULL,
};

static void route_init(void *record, const void *parent, const struct conf *conf)
{
    struct conf_route *route = record;
    (void)parent;
    route->timeouts = conf->timeouts;
    route->body_bytes = conf->limits.body_bytes;
}

static const struct conf_setting route_rows[] = {
    {"pool", &conf_name, AT(conf_route, pool_name), .flags = REQUIRED,
     .text = "Where matching requests go."},
    {"path", &conf_urlpath, AT(conf_route, path), .def = "/",
     .text = "The path and all below it: /pas is /pas and /pas/x, not /password."},
    {"host", &conf_host_any, AT(conf_route, host), .def = "", .flags = OPTIONAL,
     .text = "Only for this host, or with *.example.com for every name below that one."},
    {"upstream_path", &conf_urlpath, AT(conf_route, upstream_path), .def = "",
     .flags = OPTIONAL,
     .text = "What the backend calls path. Location, Content-Location and cookies are mapped "
             "back."},
    {"class", &conf_choice, AT(conf_route, class), .def = "auto", .choices = classes,
     .text = "The transport of PAS behind it, which decides what may be sent again or "
             "redirected; auto goes by /web, /rest, /soap or /apsv in the path."},
    {"body", &conf_bytes64, AT(conf_route, body_bytes), .max = (uint64_t)1 << 50,
     .text = "Body of a request; else that of limits."},
    {"retry_on", &conf_choice, MANY(conf_route, retry_on), .min = 1, .max = CONF_MAX_LIST,
     .choices = conf_retry_reasons,
     .text =
         "When a safe request (GET, HEAD, OPTIONS; never APSV) is tried again on another "
         "backend: no connection, or that was reset or closed without an answer or with "
         "nonsense (empty), a verdict of down while it waited, an answer of at most 64k that "
         "was cut (it is passed on when it is whole), these codes, or no answer in time. Not "
         "given: connect, empty, verdict and cut. For connect, where nothing was sent, any "
         "other request moves as well."},
    {"hedge_after", &conf_ms, AT(conf_route, hedge_after_ms), .def = "off", .zero = "off",
     .min = 10 * MS, .max = HOURS,
     .text = "A safe request without an answer for so long is sent to another backend too, and "
             "the answer that comes first is it."},
    {"timeouts", NULL, AT(conf_route, timeouts), .section = &timeout_section, .flags = IN_ROUTE,
     .text = "Its own body, send, connect, first_byte, response_idle and tunnel; else the "
             "global ones."},
    END};
static const struct conf_section route_section = {
    "routes",
    "Which request goes to which pool: an exact host before a wildcard before any, then the "
    "longest path. Not given, with one pool: all to that.",
    route_rows,
    sizeof(struct conf_route),
    NULL,
    route_init,
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
    {"acme", NULL, AT(conf, acme), .section = &acme_section, .text = "See below."},
    {"certificates", NULL, .offset = offsetof(struct conf, certs),
     .count = offsetof(struct conf, n_certs), .flags = LIST, .max = CONF_MAX_CERTS,
     .section = &cert_section, .text = "See below."},
    {"timeouts", NULL, AT(conf, timeouts), .section = &timeout_section, .text = "See below."},
    {"limits", NULL, AT(conf, limits), .section = &limit_section, .text = "See below."},
    {"pools", NULL, MANY(conf, pools) | REQUIRED, .min = 1, .max = CONF_MAX_POOLS,
     .section = &pool_section, .text = "See below."},
    {"routes", NULL, MANY(conf, routes), .min = 1, .max = CONF_MAX_ROUTES,
     .section = &route_section, .text = "See below."},
    {"etcd", &conf_url, MANY(conf, etcd) | SOON, .max = CONF_MAX_LIST,
     .text = "Where several balancers share certificates and who may issue them."},
    END};
const struct conf_section conf_top = {NULL, NULL, top_rows, sizeof(struct conf), NULL, NULL};
/* clang-format on */
