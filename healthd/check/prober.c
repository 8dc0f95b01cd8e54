#include "healthd/check/prober.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/str.h"
#include "healthd/check/backend_curl.h"
#include "healthd/check/http_check.h"

enum {
    HEADER_MAX = 64 * 1024, /* bytes of a response's header */
    ADDRESS_TEXT = 128,     /* "[address]:port", or "unix:" and a path */
    ADDRESSES = 8,          /* addresses of a name that are told apart */
    HASTY_LEAST_MS = 200,   /* see prober_go_on() */
};

struct prober {
    CURLM *multi;
    struct probe *running; /* list */
};

struct addresses {
    struct sockaddr_storage of[ADDRESSES];
    size_t n;
};

struct probe {
    struct probe *next, **self;
    CURL *easy;
    struct curl_slist *fields;
    const struct conf_backend *backend;
    const struct conf_pool *pool;
    const struct conf_check *check; /* of the pool */
    struct backend_curl way;
    uint32_t id;
    uint64_t started_us;
    struct sockaddr_storage tried; /* the last address that libcurl tried */
    bool has_tried;
    bool literal; /* the backend is given by its address: there is no other one */
    bool prefers; /* only the preferred address has been allowed so far */
    struct sockaddr_storage prefer; /* where workers connect now */
    struct addresses opened;        /* addresses that libcurl tried in this attempt */
    struct addresses failed;        /* addresses that are not tried again */
    struct probe_result first;      /* result of the first attempt, if there were several */
    bool has_first;
    bool cut;   /* the body was longer than HTTP_CHECK_BODY_MAX */
    bool flood; /* the header was longer than HEADER_MAX */
    size_t n_header, n_body;
    char body[HTTP_CHECK_BODY_MAX];
};

struct prober *prober_new(void)
{
    struct prober *prober = calloc(1, sizeof *prober);

    if (!prober)
        return NULL;
    if (curl_global_init(CURL_GLOBAL_NOTHING) != 0 || !(prober->multi = curl_multi_init())) {
        free(prober);
        return NULL;
    }
    /* No connection is reused, so none needs to be kept. */
    curl_multi_setopt(prober->multi, CURLMOPT_MAXCONNECTS, 1L);
    return prober;
}

static void probe_free(struct prober *prober, struct probe *probe)
{
    if (probe->self) {
        *probe->self = probe->next;
        if (probe->next)
            probe->next->self = probe->self;
    }
    if (probe->easy) {
        curl_multi_remove_handle(prober->multi, probe->easy);
        curl_easy_cleanup(probe->easy);
    }
    curl_slist_free_all(probe->fields);
    backend_curl_release(&probe->way);
    free(probe);
}

void prober_free(struct prober *prober)
{
    if (!prober)
        return;
    while (prober->running)
        probe_free(prober, prober->running);
    curl_multi_cleanup(prober->multi);
    curl_global_cleanup();
    free(prober);
}

/* ---- callbacks of libcurl */

static size_t prober_on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct probe *probe = arg;
    size_t room = sizeof probe->body - probe->n_body;
    size_t take = n < room ? n : room;

    (void)one;
    memcpy(probe->body + probe->n_body, bytes, take);
    probe->n_body += take;
    if (take == n)
        return n;
    probe->cut = true; /* enough to judge: ends the transfer */
    return 0;
}

static size_t prober_on_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct probe *probe = arg;

    (void)bytes, (void)one;
    probe->n_header += n;
    if (probe->n_header <= HEADER_MAX)
        return n;
    probe->flood = true;
    return 0;
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    return a->ss_family == AF_INET6 ? memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                                             &((const struct sockaddr_in6 *)b)->sin6_addr,
                                             sizeof(struct in6_addr)) == 0
                                    : ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
                                          ((const struct sockaddr_in *)b)->sin_addr.s_addr;
}

static bool prober_is_among(const struct addresses *all, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < all->n; i++)
        if (same_host(&all->of[i], address))
            return true;
    return false;
}

static void prober_add_address(struct addresses *all, const struct sockaddr_storage *address)
{
    if (all->n < ADDRESSES && !prober_is_among(all, address))
        all->of[all->n++] = *address;
}

/* Notes which address is tried, so that a failure can name it. Makes libcurl skip addresses
 * that must not be tried now. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct probe *probe = arg;

    (void)purpose;
    if (address->addrlen <= sizeof probe->tried) {
        struct sockaddr_storage at = {0};

        memcpy(&at, &address->addr, address->addrlen);
        if ((probe->prefers && !same_host(&at, &probe->prefer)) ||
            prober_is_among(&probe->failed, &at))
            return CURL_SOCKET_BAD;
        prober_add_address(&probe->opened, &at);
        probe->tried = at;
        probe->has_tried = true;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- addresses */

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

/* Reads a literal IPv4 or IPv6 address (no brackets). false: it is a name. */
static bool parse_address(struct sockaddr_storage *address, const char *text, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        address->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        address->ss_family = AF_INET6;
    else
        return false;
    set_port(address, port);
    return true;
}

bool probe_literal_address(struct sockaddr_storage *address, const struct conf_backend *backend)
{
    struct sockaddr_un *un = (struct sockaddr_un *)address;

    if (!*backend->socket)
        return parse_address(address, backend->host, backend->port);
    memset(address, 0, sizeof *address);
    un->sun_family = AF_UNIX;
    snprintf(un->sun_path, sizeof un->sun_path, "%s", backend->socket);
    return true;
}

static void tell_address(char text[ADDRESS_TEXT], const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    char ip[INET6_ADDRSTRLEN] = "?";

    if (address->ss_family == AF_UNIX) {
        snprintf(text, ADDRESS_TEXT, "unix:%s",
                 ((const struct sockaddr_un *)address)->sun_path);
    } else if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip);
        snprintf(text, ADDRESS_TEXT, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        snprintf(text, ADDRESS_TEXT, "%s:%u", ip, ntohs(v4->sin_port));
    }
}

/* ---- start */

static uint16_t prober_port_of(const struct probe *probe)
{
    return probe->check->port ? probe->check->port : probe->backend->port;
}

static struct curl_slist *prober_make_fields(const struct probe *probe)
{
    const struct conf_backend *b = probe->backend;
    struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json, */*;q=0.5");
    struct curl_slist *more;
    char host[CONF_HOST_LEN + 32];

    if (probe->check->host[0] != '\0')
        snprintf(host, sizeof host, "Host: %s", probe->check->host);
    else if (*b->socket)
        snprintf(host, sizeof host, "Host: %s", b->host);
    else
        snprintf(host, sizeof host, strchr(b->host, ':') ? "Host: [%s]:%u" : "Host: %s:%u",
                 b->host, b->port);
    more = fields ? curl_slist_append(fields, host) : NULL;
    if (!more)
        curl_slist_free_all(fields);
    return more;
}

static int prober_set_options(struct probe *probe)
{
    bool tcp = probe->check->type == CONF_CHECK_TCP;
    CURL *easy = probe->easy;

    if (backend_curl_set(&probe->way, easy, probe->pool, probe->backend,
                         probe->check->tls == CONF_CHECK_PLAIN, NULL, prober_port_of(probe),
                         tcp ? "/" : probe->check->path) < 0)
        return -1;
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    /* A name that takes long must not hold up the other probes when this one is given up:
     * without this option libcurl would wait for its thread. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)probe->check->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)probe->check->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, probe);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, probe);
    if (tcp) {
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
        return 0;
    }
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, probe->fields);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "pasgate-healthd/" PASGATE_VERSION);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, prober_on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, probe);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, prober_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, probe);
    return 0;
}

int prober_start(struct prober *prober, uint32_t id, const struct conf_backend *backend,
                 const struct conf_pool *pool, const struct sockaddr_storage *prefer)
{
    struct probe *probe = malloc(sizeof *probe);
    struct sockaddr_storage literal;

    if (!probe)
        return -1;
    memset(probe, 0, offsetof(struct probe, body));
    probe->id = id;
    probe->backend = backend;
    probe->pool = pool;
    probe->check = &pool->check;
    probe->started_us = clock_mono_us();
    probe->literal = probe_literal_address(&literal, backend);
    probe->prefers = prefer && !probe->literal;
    if (prefer)
        probe->prefer = *prefer;
    probe->easy = curl_easy_init();
    probe->fields = prober_make_fields(probe);
    if (!probe->easy || !probe->fields || prober_set_options(probe) < 0)
        goto fail;
    if (curl_multi_add_handle(prober->multi, probe->easy) != CURLM_OK)
        goto fail;
    probe->next = prober->running;
    if (probe->next)
        probe->next->self = &probe->next;
    probe->self = &prober->running;
    prober->running = probe;
    return 0;
fail:
    probe_free(prober, probe);
    return -1;
}

void prober_wait(struct prober *prober, int fd, int other_fd, int max_ms)
{
    struct curl_waitfd extra[2] = {
        {.fd = fd, .events = CURL_WAIT_POLLIN},
        {.fd = other_fd, .events = CURL_WAIT_POLLIN},
    };
    int running;

    curl_multi_poll(prober->multi, extra, 2, max_ms, NULL);
    curl_multi_perform(prober->multi, &running);
}

/* ---- end */

static bool judge_response(struct probe *probe, struct probe_result *result)
{
    char *text = result->text;
    long status = 0;

    if (probe->check->type == CONF_CHECK_TCP) {
        snprintf(text, TABLE_REASON, "connected");
        return true;
    }
    curl_easy_getinfo(probe->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!http_check_judge(probe->check, status, probe->body, probe->n_body, probe->cut, text))
        return false;
    if (probe->check->type == CONF_CHECK_HTTP && !probe->cut)
        result->score_permille = http_check_score(probe->body, probe->n_body, text);
    return true;
}

static void tell_connect_failure(const struct probe *probe, char text[TABLE_REASON])
{
    char at[ADDRESS_TEXT] = "";
    long error = 0;

    curl_easy_getinfo(probe->easy, CURLINFO_OS_ERRNO, &error);
    if (!probe->has_tried) {
        snprintf(text, TABLE_REASON, "no connection to %.80s: %s", probe->backend->host,
                 error ? strerror((int)error) : "no usable address");
        return;
    }
    tell_address(at, &probe->tried);
    if (error == ECONNREFUSED)
        snprintf(text, TABLE_REASON, "connection refused by %s", at);
    else
        snprintf(text, TABLE_REASON, "no connection to %s: %s", at,
                 error ? strerror((int)error) : "failed");
}

/* Translates libcurl's code for the reader of `pasgate why`. */
static enum outcome judge_failure(const struct probe *probe, CURLcode code,
                                  char text[TABLE_REASON])
{
    const char *tls = backend_curl_tls_text(&probe->way, probe->easy, code);

    if (tls) {
        snprintf(text, TABLE_REASON, "no TLS connection, expected name \"%.40s\": %.80s",
                 probe->way.name, tls);
        return OUTCOME_FAIL;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        if (!probe->has_tried) {
            snprintf(text, TABLE_REASON, "name %.80s did not resolve within %u ms",
                     probe->backend->host, probe->check->timeout_ms);
            return OUTCOME_NO_NAME;
        }
        snprintf(text, TABLE_REASON, "no response within %u ms", probe->check->timeout_ms);
        return OUTCOME_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        snprintf(text, TABLE_REASON, "name %.80s does not resolve", probe->backend->host);
        return OUTCOME_NO_NAME;
    case CURLE_COULDNT_CONNECT:
        tell_connect_failure(probe, text);
        break;
    case CURLE_GOT_NOTHING:
        snprintf(text, TABLE_REASON, "connection closed without a response");
        break;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        snprintf(text, TABLE_REASON, "connection reset");
        break;
    case CURLE_PARTIAL_FILE:
        snprintf(text, TABLE_REASON, "response cut off after %zu byte%s", probe->n_body,
                 str_plural(probe->n_body));
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        snprintf(text, TABLE_REASON, "the response is not HTTP");
        break;
    default:
        if (probe->flood)
            snprintf(text, TABLE_REASON, "the response header is longer than 64 KiB");
        else
            snprintf(text, TABLE_REASON, "%s", curl_easy_strerror(code));
    }
    return OUTCOME_FAIL;
}

static void conclude(struct probe *probe, CURLcode code, struct probe_result *result)
{
    const char *ip = NULL;

    *result = (struct probe_result){.id = probe->id, .score_permille = HTTP_CHECK_SCORE_FULL};
    result->took_us = (uint32_t)(clock_mono_us() - probe->started_us);
    if (code == CURLE_WRITE_ERROR && probe->cut)
        code = CURLE_OK;
    if (code == CURLE_OK)
        result->outcome = judge_response(probe, result) ? OUTCOME_PASS : OUTCOME_FAIL;
    else
        result->outcome = judge_failure(probe, code, result->text);

    if (*probe->backend->socket) {
        result->has_address = probe_literal_address(&result->address, probe->backend);
        return;
    }
    curl_easy_getinfo(probe->easy, CURLINFO_PRIMARY_IP, &ip);
    if (code == CURLE_OK && ip && parse_address(&result->address, ip, probe->backend->port)) {
        result->has_address = true;
    } else if (probe->has_tried) {
        result->has_address = true;
        result->address = probe->tried;
        set_port(&result->address, probe->backend->port);
    }
}

/* Notes which addresses the failed attempt used up. false: there is no other address to try. */
static bool is_another_left(struct probe *probe, const struct probe_result *result)
{
    struct sockaddr_storage at;
    const char *ip = NULL;

    if (probe->literal || result->outcome == OUTCOME_NO_NAME)
        return false;
    if (probe->prefers && !probe->has_tried)
        return true; /* the name has another address now */
    if (!probe->has_tried || probe->failed.n == ADDRESSES)
        return false;
    if (!probe->has_first)
        probe->first = *result;
    probe->has_first = true;
    curl_easy_getinfo(probe->easy, CURLINFO_PRIMARY_IP, &ip);
    if (ip && *ip && parse_address(&at, ip, 0))
        prober_add_address(&probe->failed, &at);
    else
        for (size_t i = 0; i < probe->opened.n; i++)
            prober_add_address(&probe->failed, &probe->opened.of[i]);
    return true;
}

/* Tries the other addresses of the name: workers use the first that passes. After a silence the
 * timeout is shorter, so that a hung backend is detected soon enough. */
static bool prober_go_on(struct prober *prober, struct probe *probe)
{
    long timeout_ms = (long)probe->check->timeout_ms;

    if (probe->has_first && probe->first.outcome == OUTCOME_TIMEOUT)
        timeout_ms = timeout_ms / 2 > HASTY_LEAST_MS ? timeout_ms / 2 : HASTY_LEAST_MS;
    curl_multi_remove_handle(prober->multi, probe->easy);
    curl_easy_setopt(probe->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(probe->easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    probe->started_us = clock_mono_us();
    probe->prefers = probe->has_tried = probe->cut = probe->flood = false;
    probe->opened.n = 0;
    probe->n_header = probe->n_body = 0;
    return curl_multi_add_handle(prober->multi, probe->easy) == CURLM_OK;
}

bool prober_next(struct prober *prober, struct probe_result *result)
{
    struct CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(prober->multi, &left)) != NULL) {
        CURLcode code = msg->data.result;
        char *private = NULL;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        CHECK(private != NULL);
        struct probe *probe = (struct probe *)private;
        conclude(probe, code, result);
        if (result->outcome != OUTCOME_PASS) {
            if (is_another_left(probe, result) && prober_go_on(prober, probe))
                continue;
            if (probe->has_first)
                *result = probe->first;
        }
        probe_free(prober, probe);
        return true;
    }
    return false;
}
