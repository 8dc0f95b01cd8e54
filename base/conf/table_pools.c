/* conf/table_pools.c - settings of pools, their backends, and routes. See conf/table.h. */
#include "base/conf/rows.h"

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
static const struct conf_choice slashes[] = {
    {"reject", CONF_SLASH_REJECT, 0}, {"pass", CONF_SLASH_PASS, 0}, {NULL, 0, 0}};
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
static const struct conf_choice fail_opens[] = {{"one", CONF_FAIL_OPEN_ONE, 0},
                                                {"all", CONF_FAIL_OPEN_ALL, 0},
                                                {"off", CONF_FAIL_OPEN_OFF, 0},
                                                {NULL, 0, 0}};
const struct conf_choice conf_balances[] = {{"roundrobin", CONF_BALANCE_ROUNDROBIN, 0},
                                            {"leastconn", CONF_BALANCE_LEASTCONN, 0},
                                            {NULL, 0, 0}};
const struct conf_choice conf_check_types[] = {{"tcp", CONF_CHECK_TCP, 0},
                                               {"http", CONF_CHECK_HTTP, 0},
                                               {"pasoe", CONF_CHECK_PASOE, 0},
                                               {NULL, 0, 0}};

static const struct conf_choice check_tls[] = {
    {"same", CONF_CHECK_SAME, 0}, {"off", CONF_CHECK_PLAIN, 0}, {NULL, 0, 0}};

/* clang-format off: a table reads best with one setting per paragraph */

static const struct conf_setting check_rows[] = {
    {"type", &conf_choice, AT(conf_check, type), .def = "http", .choices = conf_check_types,
     .text =
         "What a backend must do: accept a connection (tcp); answer a GET (http); or answer "
         "the ping service of PAS (pasoe), which runs ABL and so proves that agents work."},
    {"path", &conf_checkpath, AT(conf_check, path), .def = "", .flags = OPTIONAL,
     .text = "Path to request. Not given: / for http, /rest/_oepingService/_oeping for pasoe."},
    {"port", &conf_port, AT(conf_check, port), .def = "same", .zero = "same", .min = 1,
     .max = 65535,
     .text =
         "Port to check, such as 8899 for the HealthScanner; same is the backend's own port."},
    {"host", &conf_host, AT(conf_check, host), .def = "", .flags = OPTIONAL,
     .text = "Host field of the request; by default the backend's address."},
    {"tls", &conf_choice, AT(conf_check, tls), .def = "same", .choices = check_tls,
     .text = "same: checks use TLS if the pool does. off: they never do, as for a port that "
             "speaks plain HTTP, such as that of the HealthScanner."},
    {"status", &conf_status, MANY(conf_check, status), .min = 1, .max = CONF_MAX_LIST,
     .text = "Status codes of a healthy response. Not given: 200-399; or 200-499 for http "
             "without a path, where any response but a server error proves that it works; or "
             "200 for pasoe."},
    {"body", &conf_string, AT(conf_check, body), .def = "", .flags = OPTIONAL,
     .text = "Text that must occur in the response."},
    {"interval", &conf_ms, AT(conf_check, interval_ms), .def = "5s", .min = 100 * MS,
     .max = HOURS, .text = "Time from one check to the next."},
    {"fast_interval", &conf_ms, AT(conf_check, fast_interval_ms), .def = "1s", .min = 100 * MS,
     .max = HOURS,
     .text = "The same while the verdict is about to change, or the workers see failures."},
    {"down_interval", &conf_ms, AT(conf_check, down_interval_ms), .def = "2s", .min = 100 * MS,
     .max = HOURS,
     .text = "The same while the backend is down; fast_interval, if that is shorter, while no "
             "other of its pool serves."},
    {"timeout", &conf_ms, AT(conf_check, timeout_ms), .def = "2s", .min = 10 * MS,
     .max = 10 * MINUTES, .text = "For a whole check."},
    {"rise", &conf_count, AT(conf_check, rise), .def = "2", .min = 1, .max = 100,
     .text = "Passed checks in a row that bring a backend up."},
    {"fall", &conf_count, AT(conf_check, fall), .def = "3", .min = 1, .max = 100,
     .text = "Failed checks in a row that take it down."},
    {"jitter", &conf_count, AT(conf_check, jitter_percent), .def = "10", .max = 50,
     .text = "Per cent by which each interval varies, so that checks do not run in lockstep."},
    END};
static const struct conf_section check_section = {
    "pools.check", "How healthd checks each backend of a pool.",
    check_rows,    sizeof(struct conf_check),
    NULL,          NULL,
};

static const struct conf_setting queue_rows[] = {
    {"size", &conf_count, AT(conf_queue, size), .def = "256", .max = 65536,
     .text = "Requests that may wait for each backend, all workers together; any more get 503 "
             "at once."},
    {"timeout", &conf_ms, AT(conf_queue, timeout_ms), .def = "10s", .min = 10 * MS,
     .max = 10 * MINUTES,
     .text = "How long a request may wait; after that, 503 with Retry-After."},
    END};
static const struct conf_section queue_section = {
    "pools.queue",
    "The queue for requests that wait because every backend has max_in_flight requests.",
    queue_rows,
    sizeof(struct conf_queue),
    NULL,
    NULL,
};

static const struct conf_setting restart_rows[] = {
    {"docker", &conf_name, AT(conf_backend, restart_docker), .def = "", .flags = OPTIONAL,
     .text = "Name of its container: the Docker Engine stops and starts it. It counts as "
             "restarted when it runs and, if its image has a HEALTHCHECK, is healthy."},
    {"command", &conf_string, MANY(conf_backend, restart_command), .max = CONF_MAX_LIST,
     .text = "Program and arguments that restart it, without a shell. It gets PATH, "
             "PASGATE_BACKEND, PASGATE_ADDRESS, PASGATE_POOL, PASGATE_INCIDENT and "
             "PASGATE_REASON, runs as the user that started pasgate and cannot become another "
             "one; exit code 0 means success. Not together with docker."},
    {"timeout", &conf_ms, AT(conf_backend, restart_timeout_ms), .def = "120s", .min = SECONDS,
     .max = HOURS, .text = "How long the whole restart may take."},
    {"stop_timeout", &conf_ms, AT(conf_backend, restart_stop_ms), .def = "30s", .min = SECONDS,
     .max = HOURS,
     .text = "How long the container may take to stop before it is killed; also how long the "
             "command may still run after SIGTERM, which it gets when its time is over."},
    {"socket", &conf_file, AT(conf_backend, restart_socket), .def = "/var/run/docker.sock",
     .max = CONF_SOCKET_LEN,
     .text = "Socket of the Docker Engine, or of a proxy in front of it."},
    {"oemanager", &conf_secret, AT(conf_backend, restart_oemanager), .def = "",
     .flags = OPTIONAL, .max = 255,
     .text = "Name and password, separated by a colon, for the oemanager of this backend, if "
             "it has one: before a restart its agents, requests and metrics are saved. Best "
             "taken from the environment."},
    END};
static const struct conf_section restart_section = {
    "pools.backends.restart",
    "How this backend is restarted, when an operator asks for it or when it stays unhealthy. "
    "Without it pasgate restarts nothing.",
    restart_rows,
    sizeof(struct conf_backend),
    NULL,
    NULL,
};

static void backend_init(void *record, const void *parent, const struct conf *conf)
{
    struct conf_backend *backend = record;

    (void)conf;
    backend->socket = "";
    backend->max_in_flight = ((const struct conf_pool *)parent)->max_in_flight;
}

static const struct conf_setting backend_rows[] = {
    {"address", &conf_hostport, .offset = 0, .flags = REQUIRED,
     .text =
         "Host and port. A name is looked up again for every check. Of several addresses, "
         "IPv6 and IPv4, the first that passes its checks is used, until it fails. Or "
         "unix: and the path of a unix socket, of at most 107 bytes, to which the user of "
         "the workers must be able to connect; checks and requests without a Host field say "
         "localhost then."},
    {"name", &conf_name, AT(conf_backend, name), .def = "", .flags = OPTIONAL,
     .text = "Name of the backend in logs, status and commands, unique in the whole file; by "
             "default its host, or the file name of its socket, without .sock. History and "
             "admin overrides stay with the name across reloads."},
    {"route", &conf_name, AT(conf_backend, route), .def = "", .flags = OPTIONAL,
     .text = "Its jvmRoute (psc.as.alias), for sticky; by default its name."},
    {"weight", &conf_count, AT(conf_backend, weight), .def = "1", .min = 1, .max = 1000,
     .text = "Its share of the requests, in proportion to the weights of the others."},
    {"max_in_flight", &conf_count, AT(conf_backend, max_in_flight), .zero = "unlimited",
     .min = 1, .max = 1000000,
     .text = "Requests that it may have at one time, all workers together; by default that of "
             "the pool."},
    {"state", &conf_choice, AT(conf_backend, state), .def = "ready", .choices = conf_states,
     .text = "drain: no new sessions, existing ones continue. maint: no requests at all."},
    {"restart", NULL, .offset = 0, .section = &restart_section, .text = "See below."},
    END};
static const struct conf_section backend_section = {
    "pools.backends",
    "The backends of a pool. A bare string in the list is an address: backends = [ "
    "\"pas1:8810\", \"pas2:8810\" ].",
    backend_rows,
    sizeof(struct conf_backend),
    "address",
    backend_init,
};

static const struct conf_setting eject_rows[] = {
    {"failures", &conf_count, AT(conf_eject, failures), .def = "5", .zero = "off", .min = 2,
     .max = 1000,
     .text = "Failed requests in a row, over all workers: refused, reset, unanswered or cut in "
             "the middle. Half as many are enough if that lasts for half of the window, and "
             "the same number within the window if they are more than half of its requests. A "
             "response of 500 is not a failure: that is up to the application."},
    {"window", &conf_ms, AT(conf_eject, window_ms), .def = "5s", .min = SECONDS,
     .max = 10 * MINUTES,
     .text =
         "The period that is looked at. A backend at which several requests wait and none was "
         "answered for most of this time, while other backends of the pool respond, is ejected "
         "too; the more common long waits are in the pool, the more requests have to wait."},
    {"time", &conf_ms, AT(conf_eject, time_ms), .def = "10s", .min = 100 * MS, .max = HOURS,
     .text = "Length of the first ejection. Each further one is twice as long."},
    {"max_time", &conf_ms, AT(conf_eject, max_ms), .def = "300s", .min = 100 * MS,
     .max = 24 * HOURS,
     .text = "Longest ejection; also, after this long without an ejection, the next one is "
             "half as long."},
    {"gateway_percent", &conf_count, AT(conf_eject, gateway_percent), .def = "off",
     .zero = "off", .min = 1, .max = 100,
     .text = "If at least this per cent of the responses in the window are a 502, 503 or 504 "
             "made by the backend itself, it is ejected. PAS sends these for busy and broken "
             "agents, and applications send them too, so this is off by default."},
    END};
static const struct conf_section eject_section = {
    "pools.eject",
    "When a backend is ejected because its requests fail although its checks pass; a check "
    "that "
    "fails meanwhile makes it down instead. After that time it is on probation: it gets single "
    "requests that can be sent again elsewhere. A backend is never ejected if fewer than "
    "min_healthy would be left, nor if all backends of "
    "the pool fail alike.",
    eject_rows,
    sizeof(struct conf_eject),
    NULL,
    NULL,
};

static const struct conf_setting heal_rows[] = {
    {"after", &conf_ms, AT(conf_pool, heal_after_ms), .def = "10s", .min = 100 * MS,
     .max = 24 * HOURS,
     .text = "A backend whose checks have failed for this long is restarted; one that was "
             "never up gets ten times as long, to boot. A backend that is ejected for the "
             "third time in a row is restarted too."},
    {"max_restarts", &conf_count, AT(conf_pool, max_restarts), .def = "3", .min = 1, .max = 100,
     .text = "Restarts of one backend in an hour. If it is unhealthy again after that many, it "
             "is held: nothing more is done until a person says ready or restart."},
    {"hold_down", &conf_ms, AT(conf_pool, heal_hold_down_ms), .def = "60s", .min = 100 * MS,
     .max = HOURS,
     .text = "Time between the end of a restart and the next restart of the same backend; it "
             "doubles with each restart in the last hour."},
    {"verify", &conf_ms, AT(conf_pool, heal_verify_ms), .def = "180s", .min = SECONDS,
     .max = HOURS,
     .text = "After a restart a backend must pass its checks within this time. PAS takes a "
             "minute or more until its agents serve."},
    {"dry_run", &conf_bool, AT(conf_pool, heal_dry_run), .def = "false",
     .text = "Nothing is restarted automatically: log and history say what would have been "
             "done. A restart that an operator asks for is carried out."},
    END};
static const struct conf_section heal_section = {
    "pools.heal",
    "Automatic restart of backends that stay unhealthy: those with a restart action, one of a "
    "pool at a time, and never if fewer than min_healthy would be left.",
    heal_rows,
    sizeof(struct conf_pool),
    NULL,
    NULL,
};

static const struct conf_setting tls_rows[] = {
    {"enabled", &conf_bool, AT(conf_pool_tls, enabled), .def = "false",
     .text =
         "Requests, WebSockets and checks go over TLS 1.2 or 1.3. A handshake that fails is "
         "a failed connection: nothing was sent, and another backend serves. The time limit "
         "for connecting covers it. Sessions are resumed."},
    {"verify", &conf_bool, AT(conf_pool_tls, verify), .def = "true",
     .text = "The backend's certificate must be valid for its name and come from a trusted CA. "
             "false: any certificate will do, so that anybody on the way can read and change "
             "what is sent."},
    {"ca", &conf_file, AT(conf_pool_tls, ca), .def = "", .flags = OPTIONAL,
     .text =
         "PEM file of the CAs that are trusted, at most 1m; not given: those of the system. "
         "This file and the next two are read at start and at each reload, as the user who "
         "starts pasgate."},
    {"name", &conf_cert_name, AT(conf_pool_tls, name), .def = "", .flags = OPTIONAL,
     .text =
         "The name for which the certificates must be valid, sent as SNI (an address is not "
         "sent). Not given: the host of each backend; localhost for a unix socket."},
    {"certificate", &conf_file, AT(conf_pool_tls, certificate), .def = "", .flags = OPTIONAL,
     .text = "PEM file of the certificate, with its chain, by which pasgate proves to the "
             "backends who it is (mTLS)."},
    {"key", &conf_file, AT(conf_pool_tls, key), .def = "", .flags = OPTIONAL,
     .text = "PEM file of its private key, without a password."},
    END};
static const struct conf_section tls_section = {
    "pools.tls", "TLS to the backends of a pool.", tls_rows, sizeof(struct conf_pool_tls), NULL,
    NULL,
};

static const struct conf_setting pool_rows[] = {
    {"name", &conf_name, AT(conf_pool, name), .flags = REQUIRED,
     .text = "Name of the pool in routes and status."},
    {"balance", &conf_choice, AT(conf_pool, balance), .def = "leastconn",
     .choices = conf_balances,
     .text = "The next request goes to the backend with the fewest requests in flight, over "
             "all workers, or to the next in turn; both by weight."},
    {"fail_open", &conf_choice, AT(conf_pool, fail_open), .def = "one", .choices = fail_opens,
     .text = "When every backend of the pool is down: one lets one request at a time try the "
             "most promising backend (once it responds, other requests follow), and all others "
             "get 503 with Retry-After at once; all sends every request to the least bad one; "
             "off sends none."},
    {"sticky", &conf_choice, AT(conf_pool, sticky), .def = "auto", .choices = stickies,
     .text = "Sessions stay with their backend. auto appends pasgate's own tag to the "
             "JSESSIONID that PAS sets, and removes it again: backends may share one jvmRoute, "
             "as containers of one image do; a session without a tag goes by its jvmRoute if "
             "only one backend has that. route uses the jvmRoute in the JSESSIONID; cookie "
             "uses a cookie of its own, PASGATE_ and the pool's name. Links with ;jsessionid= "
             "inside pages are not rewritten: with auto they need the cookie. APSV uses "
             "CONNHDL too. A session whose backend is gone moves to another backend."},
    {"max_in_flight", &conf_count, AT(conf_pool, max_in_flight), .def = "300",
     .zero = "unlimited", .min = 1, .max = 1000000,
     .text =
         "Requests that each backend may have at one time, all workers together. 300 is "
         "the number of request threads of PAS. A WebSocket counts as long as it is open: so "
         "that WebSockets cannot take the slots of requests, give them a pool of their own, "
         "with the same backends under other names, such as { name = \"ws1\"; address = "
         "\"pas1:8810\"; }, and a route to it by their path."},
    {"retries", &conf_count, AT(conf_pool, retries), .def = "2", .max = 10,
     .text = "Further attempts on other backends, for the failures in retry_on of the route. "
             "At most 20 % of a pool's requests in flight (but at least three) may be retries; "
             "any more wait."},
    {"tls", NULL, AT(conf_pool, tls), .section = &tls_section, .text = "See below."},
    {"check", NULL, AT(conf_pool, check), .section = &check_section, .text = "See below."},
    {"eject", NULL, AT(conf_pool, eject), .section = &eject_section, .text = "See below."},
    {"queue", NULL, AT(conf_pool, queue), .section = &queue_section, .text = "See below."},
    {"slow_start", &conf_ms, AT(conf_pool, slow_start_ms), .def = "60s", .zero = "off",
     .min = 100 * MS, .max = HOURS,
     .text = "A backend that comes back, or is new, begins with a tenth of its weight, which "
             "grows to the full weight in this time. Sessions are not held back, and weights "
             "are relative: a lone backend gets everything."},
    {"drain_timeout", &conf_ms, AT(conf_pool, drain_timeout_ms), .def = "300s", .zero = "off",
     .min = SECONDS, .max = 7 * DAYS,
     .text = "How long a drain waits for requests and sessions to end. What is left then is "
             "cut: safe requests without a response move to another backend, others end. off "
             "waits for ever."},
    {"session_idle", &conf_ms, AT(conf_pool, session_idle_ms), .def = "2m", .min = SECONDS,
     .max = DAYS,
     .text = "How long after its last request a session counts as live for a drain; this is a "
             "minimum, the maximum is twice that. A user who pauses for longer gets a new "
             "session at another backend."},
    {"min_healthy", &conf_count, AT(conf_pool, min_healthy), .def = "1",
     .max = CONF_MAX_BACKENDS,
     .text = "This many other backends must be up and ready before one is restarted or "
             "ejected. An operator may restart one that is down whatever the state of the "
             "others, and any one with --force."},
    {"discover", &conf_choice, AT(conf_pool, discover), .def = "none", .choices = discovers,
     .flags = SOON, .text = "Where the list of backends comes from."},
    {"heal", NULL, .offset = 0, .section = &heal_section, .text = "See below."},
    {"backends", NULL, MANY(conf_pool, backends) | REQUIRED, .min = 1, .max = CONF_MAX_BACKENDS,
     .section = &backend_section, .text = "See below."},
    END};
const struct conf_section conf_pool_section = {
    "pools",   "Groups of backends that run the same application.",
    pool_rows, sizeof(struct conf_pool),
    NULL,      NULL,
};

static const struct conf_setting basic_rows[] = {
    {"file", &conf_file, AT(conf_basic, file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text =
         "File of users, one NAME:HASH a line, with hashes of bcrypt (htpasswd -B) or "
         "SHA-crypt "
         "(mkpasswd -m sha-512). It is read at start and at each reload. Not given: nobody has "
         "to log in."},
    {"realm", &conf_string, AT(conf_basic, realm), .def = "pasgate",
     .text = "What browsers show when they ask for name and password."},
    {"pass", &conf_bool, AT(conf_basic, pass), .def = "false",
     .text = "Pass Authorization on to the backend. It is removed otherwise: the backend gets "
             "the user's name in X-Remote-User, which no client can set here."},
    {"cache", &conf_ms, AT(conf_basic, cache_ms), .def = "5m", .zero = "off", .min = SECONDS,
     .max = HOURS,
     .text = "How long a worker remembers that a password was right (not the password): "
             "verifying one takes 50 to 300 ms of CPU. A reload forgets all of them."},
    END};
static const struct conf_section basic_section = {
    NULL,
    "HTTP Basic: only users of a file are served; others get 401. Use it over TLS only: the "
    "password is sent with each request. Ten wrong passwords from one address in a minute are "
    "429 for the rest of that minute, for all that is not remembered.",
    basic_rows,
    sizeof(struct conf_basic),
    NULL,
    NULL,
};

static void route_init(void *record, const void *parent, const struct conf *conf)
{
    struct conf_route *route = record;
    (void)parent;
    route->timeouts = conf->timeouts;
    route->body_bytes = conf->limits.body_bytes;
    route->request_buffer = conf->limits.request_buffer;
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
     .text = "The path at the backend that replaces path. Location, Content-Location and "
             "cookies are mapped back."},
    {"class", &conf_choice, AT(conf_route, class), .def = "auto", .choices = classes,
     .text = "The PAS transport behind it, which decides what may be retried or redirected; "
             "auto goes by /web, /rest, /soap or /apsv in the path."},
    {"body", &conf_bytes64, AT(conf_route, body_bytes), .max = (uint64_t)1 << 50,
     .text = "Largest request body; by default that of limits."},
    {"request_buffer", &conf_bytes, AT(conf_route, request_buffer), .zero = "off", .min = KIB,
     .max = 16 * MIB,
     .text = "How much of a request body is collected before a backend is chosen; by default "
             "that of limits."},
    {"retry_on", &conf_choice, MANY(conf_route, retry_on), .min = 1, .max = CONF_MAX_LIST,
     .choices = conf_retry_reasons,
     .text = "When a safe request (GET, HEAD, OPTIONS; never APSV) is retried on another "
             "backend: the connection failed (connect), was reset or closed without a response "
             "or with an invalid one (empty), the backend was found down while the request "
             "waited (verdict), a response of at most 64k was cut (it is passed on only when "
             "complete), one of these status codes, or no response in time (timeout). Not "
             "given: connect, empty, verdict and cut. After a failed connection, where nothing "
             "was sent, any other request is retried too. A backend that gives these codes for "
             "requests that others serve gets little weight until it serves them again."},
    {"hedge_after", &conf_hedge, AT(conf_route, hedge_after_ms), .def = "auto", .zero = "off",
     .min = 10 * MS, .max = HOURS,
     .text =
         "A safe request (GET, HEAD, OPTIONS; never APSV) without a session that has no "
         "response after this time is also sent to another backend with a free slot, and "
         "the first response is used. auto does so only where the backend has sent no "
         "response to anybody meanwhile: after 200ms to 500ms, or three times as long as 99 "
         "of 100 requests of the other backends take. So a backend that hangs delays a request "
         "for a moment only, and a long report is not run twice on account of its "
         "length while its backend serves others. Hedges are part of the retry budget."},
    {"acme_passthrough", &conf_bool, AT(conf_route, acme_passthrough), .def = "false",
     .text = "Pass requests for /.well-known/acme-challenge/ with a token that is not ours on "
             "to the backend; otherwise they get 404. If no certificate is ordered by ACME, "
             "all of them are passed on. They are never redirected."},
    {"methods", &conf_method, MANY(conf_route, methods), .max = CONF_MAX_LIST,
     .text = "The methods that the route accepts; others get 405. GET includes HEAD. Not "
             "given: all methods, including unknown ones, which are treated as unsafe. CONNECT "
             "and TRACE are always refused."},
    {"client_cert", &conf_bool, AT(conf_route, client_cert), .def = "false",
     .text =
         "Only for clients with a certificate that the listener has verified; others get 403. "
         "A listener with client_cert has to ask, because a client cannot be asked later "
         "(HTTP/2 forbids it, TLS 1.3 has no renegotiation)."},
    {"basic", NULL, AT(conf_route, basic), .section = &basic_section, .text = "See below."},
    {"clients", &conf_client, MANY(conf_route, clients), .max = CONF_MAX_CLIENTS,
     .text = "Whose requests it takes, by the client's address, in the form of listen.clients; "
             "others get 403. Behind a load balancer in trusted, it is the address that this "
             "reports. Redirects to https and ACME challenges are answered before."},
    {"encoded_slash", &conf_choice, AT(conf_route, encoded_slash), .def = "reject",
     .choices = slashes,
     .text = "What happens to %2F in a path: refuse it with 400, or pass it on as it is; it is "
             "never decoded here. Pass it only to an application that needs it: the backend "
             "decides whether it means a slash (Tomcat: encodedSolidusHandling). Dots beside "
             "one are refused, and management paths stay shielded either way."},
    {"timeouts", NULL, AT(conf_route, timeouts), .section = &conf_timeout_section,
     .flags = IN_ROUTE,
     .text = "Its own body, send, connect, first_byte, response_idle and tunnel; by default "
             "the global ones."},
    END};
const struct conf_section conf_route_section = {
    "routes",
    "Which request goes to which pool: an exact host before a wildcard before any host, then "
    "the longest path. Not given, with one pool: everything goes to that pool.",
    route_rows,
    sizeof(struct conf_route),
    NULL,
    route_init,
};
/* clang-format on */
