#include "acmed/net/transport.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/net/ipc.h"
#include "base/clock.h"

struct transport {
    CURL *curl;
    struct curl_slist *jose; /* headers of a POST */
    bool (*give_up)(void *);
    void *arg;
    char *body;
    size_t n;
    bool too_much;
    struct transport_reply *reply;
    char error[CURL_ERROR_SIZE + 64];
};

/* ---- headers */

/* The value of a header line with this name, else {NULL, 0}. */
static struct str header_value(struct str line, struct str name)
{
    if (line.n <= name.n || line.p[name.n] != ':' || !str_eq_case(str_head(line, name.n), name))
        return STR_EMPTY;
    return str_trim(str_skip(line, name.n + 1));
}

/* An HTTP date; 0: invalid. */
static uint64_t http_date_ms(struct str value)
{
    char text[64];
    time_t at;

    if (value.n == 0 || value.n >= sizeof text)
        return 0;
    at = curl_getdate(str_copy(text, sizeof text, value), NULL);
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

static uint64_t seconds_until(uint64_t at_ms, uint64_t now_ms)
{
    return at_ms > now_ms ? (at_ms - now_ms + 999) / 1000 : 0;
}

static void set_retry_after(struct transport_reply *reply, uint64_t seconds)
{
    if (seconds > TRANSPORT_RETRY_MAX_S)
        seconds = TRANSPORT_RETRY_MAX_S;
    reply->has_retry_after = true;
    reply->retry_after_s = (uint32_t)seconds;
}

/* Seconds, or a date; a date in the past counts as 0 seconds. */
static void take_retry_after(struct transport_reply *reply, struct str value, uint64_t now_ms)
{
    uint64_t seconds = 0, at;
    size_t i = 0;

    reply->retry_at_wall_ms = 0;
    while (i < value.n && ascii_is_digit((unsigned char)value.p[i])) {
        seconds = 10 * seconds + (uint64_t)(value.p[i++] - '0');
        if (seconds > TRANSPORT_RETRY_MAX_S)
            seconds = TRANSPORT_RETRY_MAX_S; /* it stays at the maximum with further digits */
    }
    if (i < value.n) {
        at = http_date_ms(value);
        if (at == 0)
            return;
        reply->retry_at_wall_ms = at;
        seconds = seconds_until(at, now_ms);
    }
    set_retry_after(reply, seconds);
}

/* Whether the parameters of a link (RFC 8288) contain this one, with or without quotes. */
static bool has_rel(struct str parameters, struct str quoted, struct str bare)
{
    while (parameters.n) {
        size_t n = str_index(parameters, ';');
        struct str one = str_trim(str_head(parameters, n));

        parameters = str_skip(parameters, n < parameters.n ? n + 1 : n);
        if (str_eq_case(one, quoted) || str_eq_case(one, bare))
            return true;
    }
    return false;
}

static void take_link(struct transport_reply *reply, struct str url, struct str parameters)
{
    if (has_rel(parameters, STR("rel=\"alternate\""), STR("rel=alternate")) &&
        reply->n_alternates < TRANSPORT_ALTERNATES)
        str_copy(reply->alternates[reply->n_alternates++], JOB_URL_SIZE, url);
    if (has_rel(parameters, STR("rel=\"terms-of-service\""), STR("rel=terms-of-service")))
        str_copy(reply->terms, sizeof reply->terms, url);
}

static void take_links(struct transport_reply *reply, struct str value)
{
    while (value.n) {
        size_t from = str_index(value, '<'), to = str_index(value, '>'), end;
        struct str url;

        if (from >= to || to == value.n)
            return;
        url = str_span(value.p + from + 1, value.p + to);
        value = str_skip(value, to + 1);
        end = str_index(value, '<'); /* parameters may contain commas, but no brackets */
        if (end < value.n)
            while (end > 0 && value.p[end] != ',')
                end--;
        if (ipc_is_url(url))
            take_link(reply, url, str_head(value, end));
    }
}

void transport_header(struct transport_reply *reply, struct str line, uint64_t now_wall_ms)
{
    struct str value;

    if (str_starts(line, STR("HTTP/"))) { /* no header's name contains a slash */
        *reply = (struct transport_reply){0};
    } else if ((value = header_value(line, STR("Replay-Nonce"))).n) {
        if (value.n < sizeof reply->nonce && ipc_is_nonce(value))
            str_copy(reply->nonce, sizeof reply->nonce, value);
    } else if ((value = header_value(line, STR("Location"))).n) {
        if (ipc_is_url(value))
            str_copy(reply->location, sizeof reply->location, value);
    } else if ((value = header_value(line, STR("Date"))).n) {
        reply->date_wall_ms = http_date_ms(value);
        if (reply->retry_at_wall_ms && reply->date_wall_ms) /* came first, by our clock */
            set_retry_after(reply, seconds_until(reply->retry_at_wall_ms, reply->date_wall_ms));
    } else if ((value = header_value(line, STR("Retry-After"))).n) {
        take_retry_after(reply, value, reply->date_wall_ms ? reply->date_wall_ms : now_wall_ms);
    } else if ((value = header_value(line, STR("Link"))).n) {
        take_links(reply, value);
    }
}

/* ---- libcurl callbacks */

static size_t transport_on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transport *t = arg;
    struct str line = str_make(p, size * n);

    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    transport_header(t->reply, line, clock_wall_ms());
    return size * n;
}

static size_t transport_on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transport *t = arg;

    n *= size;
    if (n > TRANSPORT_BODY_MAX - t->n) {
        t->too_much = true;
        return 0;
    }
    memcpy(t->body + t->n, p, n);
    t->n += n;
    return n;
}

static int transport_on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c,
                                 curl_off_t d)
{
    struct transport *t = arg;

    (void)a, (void)b, (void)c, (void)d;
    return t->give_up && t->give_up(t->arg);
}

/* ---- one request */

bool transport_start(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == 0;
}

struct transport *transport_new(const char *ca_file, bool (*give_up)(void *), void *arg)
{
    struct transport *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->give_up = give_up;
    t->arg = arg;
    t->body = malloc(TRANSPORT_BODY_MAX);
    t->jose = curl_slist_append(NULL, "Content-Type: application/jose+json");
    t->curl = curl_easy_init();
    if (!t->body || !t->jose || !t->curl) {
        transport_free(t);
        return NULL;
    }
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(t->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)TRANSPORT_CONNECT_MS);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)TRANSPORT_TOTAL_MS);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "pasgate/" PASGATE_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, transport_on_header);
    curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, transport_on_body);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, transport_on_progress);
    curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
    if (ca_file[0])
        curl_easy_setopt(t->curl, CURLOPT_CAINFO, ca_file);
    return t;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->jose);
    free(t->body);
    free(t);
}

static void set_method(struct transport *t, enum transport_method method, const char *body)
{
    curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, method == TRANSPORT_POST ? t->jose : NULL);
    curl_easy_setopt(t->curl, CURLOPT_HTTPGET, 1L); /* resets HEAD and POST */
    if (method == TRANSPORT_HEAD)
        curl_easy_setopt(t->curl, CURLOPT_NOBODY, 1L);
    if (method == TRANSPORT_POST) {
        curl_easy_setopt(t->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, body);
    }
}

/* Explains why there is no response, and what to change: with libcurl's own text, except where
 * that repeats the host. */
static void transport_explain(struct transport *t, CURLcode code)
{
    const char *hint = "";
    size_t n;

    if (code == CURLE_COULDNT_RESOLVE_HOST)
        snprintf(t->error, sizeof t->error,
                 "not found in DNS; check acme.directory and this host's DNS servers");
    else if (code == CURLE_COULDNT_CONNECT)
        snprintf(t->error, sizeof t->error,
                 "no connection; check acme.directory, and whether this host can reach the "
                 "Internet");
    else if (t->too_much)
        snprintf(t->error, sizeof t->error, "the response is larger than %d KiB",
                 TRANSPORT_BODY_MAX / 1024);
    else if (t->error[0] == '\0')
        snprintf(t->error, sizeof t->error, "%s", curl_easy_strerror(code));
    if (code == CURLE_PEER_FAILED_VERIFICATION && !transport_blames_clock(t))
        hint = "; for a CA with roots of its own, set acme.ca_file";
    else if (code == CURLE_SSL_CACERT_BADFILE)
        hint = "; acme.ca_file must be a PEM file that acmed can read";
    n = strlen(t->error);
    snprintf(t->error + n, sizeof t->error - n, "%s", hint);
}

bool transport_blames_clock(const struct transport *t)
{
    return strstr(t->error, "not yet valid") || strstr(t->error, "has expired");
}

bool transport_send(struct transport *t, enum transport_method method, const char *url,
                    const char *body, struct transport_reply *reply)
{
    CURLcode code;
    long status = 0;

    *reply = (struct transport_reply){0};
    t->reply = reply;
    t->n = 0;
    t->too_much = false;
    t->error[0] = '\0';
    curl_easy_setopt(t->curl, CURLOPT_URL, url);
    set_method(t, method, body);
    code = curl_easy_perform(t->curl);
    if (code != CURLE_OK) {
        transport_explain(t, code);
        return false;
    }
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    reply->status = (uint32_t)status;
    reply->body = str_make(t->body, t->n);
    return true;
}

const char *transport_error(const struct transport *t)
{
    return t->error;
}
