/*
 * conf/conf.h - the configuration: one immutable tree, read from one file and its includes.
 *
 * The supervisor loads a file at start and at each reload; a child has the tree that was
 * current when it was forked, and keeps it until it exits. Nobody writes to a struct conf after
 * conf_load() has returned it, so any process and thread may read it without a lock.
 *
 * Ownership: a struct conf and everything that it points to live in its two arenas; conf_free()
 * releases all of it. No pointer leads to libconfig, to the parsed text or to another conf.
 *
 * Units: fields that end in _ms are milliseconds (0: off, where the setting allows "off");
 * sizes are bytes (CONF_UNLIMITED: no limit). A string is never NULL: "" means "not given".
 * Host names are in lower case. Every default is already filled in.
 *
 * All settings come from one table, conf/table.c; pasgate.conf(5) explains each one.
 */
#ifndef PASGATE_BASE_CONF_H
#define PASGATE_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/conf/conf_certs.h"

/* Capacities: the table in shared memory has a fixed number of rows for each. */
#define CONF_MAX_FILES     512 /* the file and its includes */
#define CONF_MAX_WORKERS   32  /* serving workers; as many again may drain */
#define CONF_MAX_LISTENERS 16  /* each costs one socket per worker */
#define CONF_MAX_POOLS     256 /* one for each backend */
#define CONF_MAX_BACKENDS  256 /* over all pools: sites with 200 backends exist */
#define CONF_MAX_ROUTES    1024
#define CONF_MAX_CERTS     1024
#define CONF_MAX_NAMES     100  /* in one certificate: the limit of Let's Encrypt */
#define CONF_MAX_TRUSTED   64   /* networks */
#define CONF_MAX_USERS     4096 /* in a file of users */
#define CONF_USER_LEN      64   /* bytes in the name of a user, no NUL */
#define CONF_MAX_CLIENTS   256  /* entries of one list of clients */
#define CONF_MAX_LIST      16   /* elements of any other list */
#define CONF_NAME_LEN      63  /* bytes in the name of a pool, backend or certificate, no NUL */
#define CONF_HOST_LEN      253 /* bytes in a host name (RFC 1035 section 2.3.4) */
#define CONF_PATH_LEN      255 /* bytes in a path of a route or check */
#define CONF_METHOD_LEN    32  /* bytes in the name of a method, no NUL */
#define CONF_SOCKET_LEN    107 /* bytes in the path of a unix socket, no NUL (unix(7)) */

#define CONF_UNLIMITED  UINT64_MAX
#define CONF_HEDGE_AUTO UINT32_MAX /* hedge_after: where the backend is silent */

enum conf_log_level {
    CONF_LOG_ERROR,
    CONF_LOG_WARN,
    CONF_LOG_INFO,
    CONF_LOG_DEBUG,
};

enum conf_log_format {
    CONF_LOG_JSON,
    CONF_LOG_TEXT,
};

enum conf_access {
    CONF_ACCESS_OFF,
    CONF_ACCESS_STDOUT,
    CONF_ACCESS_STDERR,
    CONF_ACCESS_SYSLOG,
    CONF_ACCESS_FILE, /* see access_file */
};

enum conf_access_format {
    CONF_ACCESS_JSON,
    CONF_ACCESS_COMBINED, /* Apache's "combined" line */
};

struct conf_log {
    enum conf_log_level level;
    enum conf_log_format format;
    enum conf_access access;
    const char *access_file; /* absolute; "" unless CONF_ACCESS_FILE */
    enum conf_access_format access_format;
};

enum conf_redirect {
    CONF_REDIRECT_NONE,
    CONF_REDIRECT_HTTPS,
};

enum conf_serve {
    CONF_SERVE_PROXY,  /* requests, by the routes */
    CONF_SERVE_STATUS, /* the status and metrics pages */
};

/* Does a listener ask clients for certificates? */
enum conf_client_cert {
    CONF_CLIENT_CERT_NONE,
    CONF_CLIENT_CERT_OPTIONAL, /* a client without one is served, where the route allows it */
    CONF_CLIENT_CERT_REQUIRED, /* no handshake without one */
};

enum conf_targets {
    CONF_TARGETS_ENCODE, /* bytes that browsers send raw are percent-encoded for the backend */
    CONF_TARGETS_STRICT, /* such bytes are refused */
};

/* A network. IPv4 is stored in its IPv6-mapped form, ::ffff:a.b.c.d, so that one comparison
 * works for both. */
struct conf_prefix {
    uint8_t addr[16]; /* network order; bits after .bits are 0 */
    uint8_t bits;     /* 0..128; IPv4: 96..128 */
};

/* An entry of a list of clients; see conf/networks.h. */
struct conf_client {
    struct conf_prefix net;
    bool all;   /* every address, in place of net */
    bool allow; /* false: deny */
};

struct conf_listen {
    uint32_t index;      /* in conf.listen */
    const char *address; /* as written, for the log */
    struct sockaddr_storage addr;
    socklen_t addr_len;
    uint16_t port; /* host order */
    bool dual;     /* "*:443": addr is [::] and accepts IPv4 too; clear IPV6_V6ONLY */
    bool tls;
    bool http2; /* offered to clients that use TLS */
    enum conf_redirect redirect;
    uint16_t redirect_port; /* the port in Location; 443: none is written */
    enum conf_serve serve;
    const char *const *hosts; /* of the status listener: further accepted host names */
    size_t n_hosts;
    enum conf_targets targets;
    const struct conf_prefix *proxy_protocol; /* whose connections begin with a PROXY header */
    size_t n_proxy_protocol;
    enum conf_client_cert client_cert;
    uint32_t client_depth;              /* certificates between the client's and a CA */
    const char *client_ca, *client_crl; /* absolute; "": none */
    const char *client_ca_text, *client_crl_text; /* what was in them */
    const struct conf_client *clients;            /* who may connect */
    size_t n_clients;                             /* 0: everybody */
};

enum conf_tls_version {
    CONF_TLS_1_2,
    CONF_TLS_1_3,
};

struct conf_tls {
    enum conf_tls_version min_version;
    uint64_t hsts_ms; /* max-age of Strict-Transport-Security; 0: the field is not sent */
    bool hsts_subdomains;
    const char *ciphers;      /* TLS 1.2, OpenSSL's syntax */
    const char *ciphersuites; /* TLS 1.3, OpenSSL's syntax */
    const char *groups;       /* OpenSSL's syntax; "auto": the best ones of this OpenSSL */
    bool tickets;
};

/* The timeouts of everything that an exchange waits for. */
struct conf_timeouts {
    uint32_t handshake_ms;     /* whole TLS handshake */
    uint32_t header_ms;        /* whole header of a request, from its first byte */
    uint32_t body_ms;          /* between two reads of a request's body */
    uint32_t idle_ms;          /* client connection between two requests */
    uint32_t send_ms;          /* between two writes to a client that does not read */
    uint32_t connect_ms;       /* to a backend */
    uint32_t first_byte_ms;    /* request sent to first byte of the response; 0: no limit */
    uint32_t response_idle_ms; /* between two reads of a response; 0: no limit */
    uint32_t tunnel_ms;        /* WebSocket without a byte either way; 0: no limit */
    uint32_t upstream_idle_ms; /* idle keep-alive connection to a backend */
};

/* How long TCP waits for a peer that may have vanished. Without these, a response without a
 * time limit would be awaited forever. */
struct conf_tcp {
    uint32_t keepalive_ms; /* silence before keepalive probes are sent; 0: none */
    uint32_t user_ms;      /* unacknowledged data ends the connection; 0: the host's limit */
};

/* What one client may have of what all share, over all workers; 0: no limit. */
struct conf_per_client {
    uint32_t connections;
    uint32_t connection_rate;         /* new ones per second */
    uint32_t requests;                /* in progress */
    uint32_t request_rate;            /* per second */
    uint32_t bytes;                   /* of buffers */
    uint32_t offences;                /* per minute, until it is refused */
    uint32_t refuse_ms;               /* for how long */
    const struct conf_prefix *exempt; /* see conf_exempts() */
    size_t n_exempt;
};

struct conf_limits {
    uint32_t header_bytes;       /* header of a request or response, with its first line */
    uint32_t header_fields;      /* fields in a header */
    uint32_t field_bytes;        /* one field */
    uint32_t target_bytes;       /* target of a request, as received and as forwarded */
    uint64_t body_bytes;         /* body of a request; CONF_UNLIMITED */
    uint32_t request_buffer;     /* of a body, collected before a backend is chosen */
    uint32_t response_buffer;    /* of a response that its client reads slowly; 0: none */
    uint32_t response_memory;    /* all response buffers, per worker */
    uint32_t memory;             /* all buffers of connections, per worker */
    uint32_t min_body_rate;      /* of a client that sends a body; bytes per second; 0: none */
    uint32_t min_read_rate;      /* of a client that reads a response; 0: none */
    uint32_t connections;        /* of clients, per worker */
    uint32_t upstream_keepalive; /* idle connections kept per backend and worker */
    uint32_t upstream_pinned;    /* the same, for connections that belong to one client each */
    uint64_t max_requests;       /* not supported yet */
    struct conf_per_client per_client;
};

enum conf_fail_open {
    CONF_FAIL_OPEN_ONE, /* one request at a time is sent, the others get 503 */
    CONF_FAIL_OPEN_ALL, /* all requests go to the least bad backend */
    CONF_FAIL_OPEN_OFF, /* all requests get 503 until healthd finds a backend up */
};

enum conf_balance {
    CONF_BALANCE_ROUNDROBIN, /* weighted */
    CONF_BALANCE_LEASTCONN,  /* fewest requests in flight by weight, over all workers */
};

enum conf_sticky {
    CONF_STICKY_NONE,
    CONF_STICKY_AUTO,   /* our own tag, appended to the JSESSIONID that clients get */
    CONF_STICKY_ROUTE,  /* the jvmRoute that PAS appends to it */
    CONF_STICKY_COOKIE, /* a separate cookie */
};

enum conf_check_type {
    CONF_CHECK_TCP,   /* connect only */
    CONF_CHECK_HTTP,  /* status, and body if .body is set */
    CONF_CHECK_PASOE, /* the ping service and its _retVal */
};

struct conf_status_range {
    uint16_t low, high; /* inclusive, 100..599 */
};

enum conf_check_tls {
    CONF_CHECK_SAME, /* as requests go */
    CONF_CHECK_PLAIN,
};

struct conf_check {
    enum conf_check_type type;
    enum conf_check_tls tls;
    const char *path; /* resolved by type: never "" for HTTP and PASOE */
    uint16_t port;    /* 0: the backend's own */
    const char *host; /* for the Host field; "": the backend's own host:port */
    const struct conf_status_range *status;
    size_t n_status;
    const char *body; /* must occur in the body of the response; "": not checked */
    uint32_t interval_ms;
    uint32_t fast_interval_ms; /* while SUSPECT, or while the state may change */
    uint32_t down_interval_ms;
    uint32_t timeout_ms;
    uint32_t rise;
    uint32_t fall;
    uint32_t jitter_percent; /* of each interval, both ways */
};

/* When a backend is ejected because of what workers see, although its checks pass. */
struct conf_eject {
    uint32_t failures; /* in a row, or in the window if they are most of it; 0: off */
    uint32_t window_ms;
    uint32_t time_ms, max_ms; /* of the first ejection, and of any */
    uint32_t gateway_percent; /* share of its responses that are 502, 503, 504; 0: off */
};

struct conf_queue {
    uint32_t size; /* waiting requests per backend, all workers together; 0: never wait */
    uint32_t timeout_ms;
};

enum conf_state {
    CONF_STATE_READY,
    CONF_STATE_DRAIN,
    CONF_STATE_MAINT,
};

struct conf_backend {
    uint32_t index;     /* in conf.backends; the table's slot is another number */
    uint32_t pool;      /* index of its pool */
    const char *name;   /* unique over all pools */
    const char *host;   /* name or address, without brackets; healthd resolves it */
    const char *socket; /* absolute path of a unix socket; "": TCP. Then host is "localhost" */
    const char *route;  /* its jvmRoute, for CONF_STICKY_ROUTE; never "" */
    uint16_t port;
    uint32_t weight;        /* 1..1000 */
    uint32_t max_in_flight; /* over all workers; 0: no cap. The pool's if not given */
    enum conf_state state;
    const char *restart_docker;         /* name of a container; "": none */
    const char *const *restart_command; /* program and arguments; excludes restart_docker */
    size_t n_restart_command;
    uint32_t restart_timeout_ms;   /* the whole action */
    uint32_t restart_stop_ms;      /* part of it: from the request to stop to the kill */
    const char *restart_socket;    /* of the Docker Engine; absolute */
    const char *restart_oemanager; /* "name:password" of PAS's manager; "": not used */
};

enum conf_discover {
    CONF_DISCOVER_NONE,
    CONF_DISCOVER_DNS, /* not supported yet */
};

/* TLS to the backends of a pool. The files are read when the configuration is loaded: the text
 * of each is "" if none is given, or this user may not read it. */
struct conf_pool_tls {
    bool enabled;
    bool verify;             /* the backend's certificate, and that it is for its name */
    const char *ca;          /* absolute PEM file of CAs; "": those of the system */
    const char *name;        /* for SNI and verification; "": the host of each backend */
    const char *certificate; /* absolute PEM file: our certificate and its chain; "": none */
    const char *key;         /* absolute PEM file; "" if certificate is */
    const char *ca_pem, *certificate_pem; /* the contents of the files; the same for the same */
    const char *key_pem;                  /* file. key_pem: see conf_forget_secrets() */
};

struct conf_pool {
    uint32_t index; /* in conf.pools */
    const char *name;
    enum conf_balance balance;
    enum conf_fail_open fail_open; /* when healthd has declared every backend down */
    enum conf_sticky sticky;
    struct conf_pool_tls tls;
    struct conf_check check;
    struct conf_eject eject;
    struct conf_queue queue;
    uint32_t max_in_flight; /* per backend, the default of its backends; 0: no cap */
    uint32_t retries;       /* further attempts on other backends, when that is safe */
    const struct conf_backend *backends; /* consecutive entries of conf.backends */
    size_t n_backends;                   /* > 0 */
    uint32_t min_healthy;                /* other backends that must be healthy for a restart */
    uint32_t heal_after_ms;              /* time in DOWN before a restart is requested */
    uint32_t max_restarts;               /* of one backend in an hour */
    uint32_t heal_hold_down_ms; /* between two restarts; doubled with each one in the hour */
    uint32_t heal_verify_ms;    /* from the end of a restart to UP */
    bool heal_dry_run;
    uint32_t slow_start_ms;    /* 0: none */
    uint32_t drain_timeout_ms; /* 0: a drain has no time limit */
    uint32_t session_idle_ms;
    /* not supported yet: */
    enum conf_discover discover;
};

enum conf_class {
    CONF_CLASS_AUTO, /* by the path: /apsv, /soap, /rest, /web as first or second segment */
    CONF_CLASS_WEB,
    CONF_CLASS_REST,
    CONF_CLASS_SOAP,
    CONF_CLASS_APSV,
};

enum conf_slash {
    CONF_SLASH_REJECT, /* %2F in a path: 400 */
    CONF_SLASH_PASS,   /* it is forwarded unchanged */
};

/* Failures of an attempt for which a request is retried elsewhere. */
enum conf_retry {
    CONF_RETRY_CONNECT = 1, /* no connection: nothing was sent */
    CONF_RETRY_EMPTY = 2,   /* reset or closed before a response, or an invalid response */
    CONF_RETRY_VERDICT = 4, /* healthd declared the backend down while the request waited */
    CONF_RETRY_CUT = 8,     /* a small response that ended too early */
    CONF_RETRY_500 = 16,    /* the backend responded with this status */
    CONF_RETRY_502 = 32,
    CONF_RETRY_503 = 64,
    CONF_RETRY_504 = 128,
    CONF_RETRY_TIMEOUT = 256, /* no first byte in time */
    CONF_RETRY_NONE = 512,    /* only in a file: no retries */
    CONF_RETRY_DEFAULT =
        CONF_RETRY_CONNECT | CONF_RETRY_EMPTY | CONF_RETRY_VERDICT | CONF_RETRY_CUT,
};

/* A line of a file of users: "name:hash". */
struct conf_user {
    const char *name;
    const char *hash; /* of crypt(3) */
};

/* HTTP Basic (RFC 7617). */
struct conf_basic {
    const char *file;  /* absolute; "": nobody has to log in */
    const char *realm; /* what the login is for; printable ASCII without " and \ */
    bool pass;         /* Authorization goes on to the backend */
    uint32_t cache_ms; /* how long a verified password is not verified again; 0: never */
    /* The users of file. Secret: only the process that verifies passwords has them. */
    const struct conf_user *users;
    size_t n_users;
};

struct conf_route {
    uint32_t index;            /* in conf.routes */
    const char *where;         /* its "file:line" */
    const char *host;          /* "": any; "*.example.com": any name below it */
    const char *path;          /* "/", or without a trailing slash; matches whole segments */
    const char *upstream_path; /* replaces path; has the same form */
    const char *pool_name;
    const struct conf_pool *pool;
    enum conf_class class;
    struct conf_timeouts timeouts; /* the global ones, overridden by the route's own */
    uint64_t body_bytes;           /* CONF_UNLIMITED */
    uint32_t request_buffer;       /* as in conf_limits; 0: none */
    const enum conf_retry *retry_on;
    size_t n_retry_on;       /* those of CONF_RETRY_DEFAULT if none is given */
    unsigned retry;          /* all of retry_on as bits, without CONF_RETRY_NONE */
    uint32_t hedge_after_ms; /* 0: never; CONF_HEDGE_AUTO: where its backend is silent */
    bool acme_passthrough;   /* ACME challenges that are not ours go to the pool */
    enum conf_slash encoded_slash;
    const char *const *methods; /* allowed methods */
    size_t n_methods;           /* 0: all */
    const char *allow;          /* the same as the value of an Allow field; "": all */
    struct conf_basic basic;
    bool client_cert; /* only clients with a certificate that the listener has verified */
    const struct conf_client *clients; /* whose requests it takes */
    size_t n_clients;                  /* 0: everybody's */
};

/* A file and its state when it was read, so that a change can be noticed. */
struct conf_file {
    const char *path;
    struct stat seen; /* all 0: it could not be found, or is no file on disk */
};

struct conf {
    const char *file;              /* as given to conf_load() */
    const struct conf_file *files; /* the file and its includes, each once */
    const void *text;              /* of conf_text() */
    size_t n_text;
    size_t n_files;

    uint32_t workers;    /* resolved: never 0 */
    bool workers_auto;   /* "auto": one per CPU that this process may use */
    const char *user;    /* "": the supervisor decides (pasgate, else nobody) */
    const char *pidfile; /* absolute; "": none */
    bool watch;          /* reload when one of the files changes */
    uint32_t stop_timeout_ms;

    struct conf_log log;
    struct conf_tls tls;
    struct conf_acme acme;
    struct conf_timeouts timeouts;
    struct conf_tcp tcp;
    struct conf_limits limits;

    const struct conf_listen *listen; /* never empty: *:443 and *:80 if not given */
    size_t n_listen;
    const struct conf_cert *certs; /* the first one is used for unknown names */
    size_t n_certs;
    const struct conf_prefix *trusted; /* networks whose X-Forwarded-* are believed */
    size_t n_trusted;
    const struct conf_pool *pools;
    size_t n_pools;
    const struct conf_backend *backends; /* of all pools, pool by pool */
    size_t n_backends;
    const struct conf_route *routes; /* the most specific first: the first match is used */
    size_t n_routes;

    /* Settings that are allowed but probably a mistake, as "file:line: what, and what would be
     * right". Checks that look at the host find more of these (supervisor/examine.h). */
    const char *const *warnings;
    size_t n_warnings;

    const char *const *etcd; /* URLs. Not supported yet */
    size_t n_etcd;

    struct conf_arena *arena;   /* owns all of the above, and this struct */
    struct conf_arena *secrets; /* holds only the secret settings */
    struct conf_arena *keys;    /* holds only the keys for backends */
};

/* The errors of a file: one "file:line: what, and what would be right" per entry, in the order
 * of the lines. Set it to {0} before use; conf_errors_release() frees its contents. */
struct conf_errors {
    char **v;
    size_t n;
    struct conf_file *files; /* as far as they were read; the last one may not exist */
    size_t n_files;
    bool host; /* one of them is a lack of memory or descriptors: the file may be good */
};

/* Reads a file. Returns a tree for conf_free(), or NULL and at least one error. A relative path
 * in a file, also of @include, starts at the directory of that file. */
struct conf *conf_load(const char *file, struct conf_errors *errs);

/* What it was read from, as bytes that belong to it (they contain secrets): the same program
 * gets the same tree from them in another process, whatever the files are by then. */
const void *conf_text(const struct conf *conf, size_t *n);
struct conf *conf_load_text(const void *text, size_t n, struct conf_errors *errs);

/* The same, but certificate files may be missing: for a caller that is about to write them. */
struct conf *conf_load_early(const char *file, struct conf_errors *errs);

/* The same for a text of n bytes (any bytes; no NUL at the end needed). `name` stands for the
 * file in messages, and relative paths start at its directory. */
struct conf *conf_parse(const char *text, size_t n, const char *name, struct conf_errors *errs);

/* Releases a tree; NULL is allowed. */
void conf_free(struct conf *conf);

/* Erases the secrets of all trees from this process, for a child that needs none; those
 * settings become "". but: the tree whose secrets are kept; keys_of: whose keys for backends
 * are; NULL: none. */
void conf_forget_secrets(const struct conf *but, const struct conf *keys_of);

/* Processes forked from now on have neither this tree nor the secrets of any tree. */
void conf_keep_from_children(const struct conf *conf);

/* Releases the messages; the struct is {0} again. */
void conf_errors_release(struct conf_errors *errs);

/* Writes a complete file with every setting, which parses back to the same tree except for its
 * secrets: each of these is "***", after its "name:" if it has one. */
void conf_dump(const struct conf *conf, FILE *out);

/* Writes pasgate.conf(5) in mdoc, from the table of settings. */
void conf_manual(FILE *out);

/* Finds by name; NULL when there is none. */
const struct conf_backend *conf_backend_find(const struct conf *conf, const char *name);
const struct conf_pool *conf_pool_find(const struct conf *conf, const char *name);

/* True if an address (AF_INET or AF_INET6) lies in one of the trusted networks. */
bool conf_trusts(const struct conf *conf, const struct sockaddr *addr);

/* "pas1:8810", "[fd00::7]:8810" or "unix:/run/pas.sock". Returns text. */
#define CONF_ADDRESS_LEN (CONF_HOST_LEN + 10)
const char *conf_backend_address(const struct conf_backend *backend,
                                 char text[static CONF_ADDRESS_LEN]);

/* Is any backend reached by a unix socket? Workers and healthd then have to open such ones. */
bool conf_uses_unix(const struct conf *conf);
/* True if it has no limits per client: an address of this host, or, if limits.per_client.exempt
 * has networks, one in these. */
bool conf_exempts(const struct conf *conf, const struct sockaddr *addr);

/* The name of a value, as written in the file; for logs and the status page. */
const char *conf_state_name(enum conf_state state);
const char *conf_balance_name(enum conf_balance balance);
const char *conf_check_name(enum conf_check_type type);
const char *conf_retry_name(enum conf_retry reason);

#endif
