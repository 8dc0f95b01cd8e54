/* Formats one exchange as one line. Runs for every request: no printf, no allocation. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "base/escape.h"
#include "worker/log/access.h"

enum {
    /* Not available to texts, so that every line gets its numbers, keys and end: 45 keys of at
     * most 20 bytes and 20 numbers of at most 20 digits. */
    ACCESS_RESERVE = 2048,
};

_Static_assert(ACCESS_LINE_MAX > ACCESS_RESERVE + ACCESS_TEXT_MAX * ESCAPE_UNIT,
               "one text of full length always fits");

/* Never writes at or beyond end. */
struct writer {
    char *p, *end, *text_end;
    bool json;
};

const char *access_end_name(enum access_end end)
{
    static const char *const names[] = {"done", "client", "backend", "proxy", "timeout"};

    return (unsigned)end < ACCESS_ENDS ? names[end] : "?";
}

const char *access_phase_name(enum access_phase phase)
{
    static const char *const names[] = {"header",     "queue",    "connect", "request",
                                        "first-byte", "response", "tunnel",  "done"};

    return (unsigned)phase < ACCESS_PHASES ? names[phase] : "?";
}

/* ---- bytes and numbers */

static inline void access_format_put(struct writer *w, const char *p, size_t n)
{
    size_t room = (size_t)(w->end - w->p);

    if (n > room)
        n = room;
    memcpy(w->p, p, n);
    w->p += n;
}

/* A literal: with its constant length, the copy becomes a few moves. */
static inline __attribute__((always_inline)) void put_const(struct writer *w, const char *p,
                                                            size_t n)
{
    if (__builtin_expect((size_t)(w->end - w->p) < n, 0)) {
        access_format_put(w, p, n);
        return;
    }
    memcpy(w->p, p, n);
    w->p += n;
}

#define put_lit(w, lit) put_const(w, "" lit, sizeof(lit) - 1)

static void put_number(struct writer *w, uint64_t number)
{
    char digits[STR_DECIMAL];
    struct str text = str_decimal(digits, number);

    access_format_put(w, text.p, text.n);
}

static char *two(char *p, unsigned number)
{
    p[0] = (char)('0' + number / 10 % 10);
    p[1] = (char)('0' + number % 10);
    return p + 2;
}

/* ---- time: the date is computed once a second */

static const struct tm *calendar(uint64_t wall_ms)
{
    static time_t second = -1;
    static struct tm tm;
    time_t now = (time_t)(wall_ms / 1000);

    if (now != second) {
        second = now;
        if (!gmtime_r(&now, &tm))
            tm = (struct tm){.tm_year = 70, .tm_mday = 1}; /* a year that does not fit an int */
    }
    return &tm;
}

static void put_iso(struct writer *w, uint64_t wall_ms)
{
    static char text[] = "1970-01-01T00:00:00.000Z";
    static uint64_t second = UINT64_MAX;
    unsigned ms = (unsigned)(wall_ms % 1000);

    if (wall_ms / 1000 != second) {
        const struct tm *tm = calendar(wall_ms);
        unsigned year = (unsigned)tm->tm_year + 1900;

        second = wall_ms / 1000;
        two(two(text, year / 100), year);
        two(text + 5, (unsigned)tm->tm_mon + 1);
        two(text + 8, (unsigned)tm->tm_mday);
        two(text + 11, (unsigned)tm->tm_hour);
        two(text + 14, (unsigned)tm->tm_min);
        two(text + 17, (unsigned)tm->tm_sec);
    }
    text[20] = (char)('0' + ms / 100);
    two(text + 21, ms);
    access_format_put(w, text, sizeof text - 1);
}

static void put_common_time(struct writer *w, uint64_t wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const struct tm *tm = calendar(wall_ms);
    char text[] = "[01/Jan/1970:00:00:00 +0000] ";
    unsigned year = (unsigned)tm->tm_year + 1900;

    two(text + 1, (unsigned)tm->tm_mday);
    memcpy(text + 4, months + 3 * (tm->tm_mon % 12), 3);
    two(two(text + 8, year / 100), year);
    two(text + 13, (unsigned)tm->tm_hour);
    two(text + 16, (unsigned)tm->tm_min);
    two(text + 19, (unsigned)tm->tm_sec);
    access_format_put(w, text, sizeof text - 1);
}

/* ---- texts of peers */

static inline bool access_format_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void access_format_put_text(struct writer *w, struct str text)
{
    const char *p = text.p, *end;
    bool cut = text.n > ACCESS_TEXT_MAX;
    char unit[ESCAPE_UNIT];

    if (!text.n)
        return;
    end = p + (cut ? ACCESS_TEXT_MAX : text.n);
    while (p < end) {
        const char *run = p;

        while (p < end && access_format_plain((unsigned char)*p))
            p++;
        size_t n = (size_t)(p - run);
        if (w->p >= w->text_end || n > (size_t)(w->text_end - w->p)) {
            cut = true;
            break;
        }
        access_format_put(w, run, n);
        if (p == end)
            break;
        n = escape_unit(unit, &p, end, w->json ? ESCAPE_JSON : ESCAPE_QUOTED);
        access_format_put(w, unit, n);
    }
    if (cut)
        put_lit(w, "...");
}

static void put_address(struct writer *w, const struct sockaddr *client, uint16_t *port)
{
    char text[INET6_ADDRSTRLEN] = "-";
    const uint8_t *v4 = NULL;

    *port = 0;
    if (client && client->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)client;

        v4 = (const uint8_t *)&in->sin_addr;
        *port = ntohs(in->sin_port);
    } else if (client && client->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)client;

        *port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            v4 = in6->sin6_addr.s6_addr + 12;
        else
            inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
    }
    if (!v4) {
        access_format_put(w, text, strlen(text));
        return;
    }
    for (int i = 0; i < 4; i++) {
        if (i)
            put_lit(w, ".");
        put_number(w, v4[i]);
    }
}

static void put_version(struct writer *w, const struct access_record *r)
{
    put_lit(w, "HTTP/");
    put_number(w, r->version_major);
    put_lit(w, ".");
    put_number(w, r->version_minor);
}

/* ---- JSON */

/* the key comes with its quotes, colon and leading comma: one copy */
#define KEY(name) ",\"" name "\":"

#define json_number(w, name, number) \
    do {                             \
        put_lit(w, KEY(name));       \
        put_number(w, number);       \
    } while (0)

#define json_some(w, name, number)        \
    do {                                  \
        if (number)                       \
            json_number(w, name, number); \
    } while (0)

#define json_true(w, name, flag)          \
    do {                                  \
        if (flag)                         \
            put_lit(w, KEY(name) "true"); \
    } while (0)

#define json_text(w, name, text)              \
    do {                                      \
        struct str text_ = (text);            \
                                              \
        if (text_.n) {                        \
            put_lit(w, KEY(name) "\"");       \
            access_format_put_text(w, text_); \
            put_lit(w, "\"");                 \
        }                                     \
    } while (0)

static void json_times(struct writer *w, const struct access_record *r)
{
    json_some(w, "handshake_us", r->handshake_us);
    json_some(w, "header_us", r->header_us);
    json_some(w, "queue_us", r->queue_us);
    json_some(w, "connect_us", r->connect_us);
    json_some(w, "first_byte_us", r->first_byte_us);
    json_number(w, "total_us", r->total_us);
}

static void json_retried(struct writer *w, unsigned reasons)
{
    if (!reasons)
        return;
    put_lit(w, KEY("retried") "\"");
    for (unsigned bit = 1; bit <= reasons; bit <<= 1) {
        if (!(reasons & bit))
            continue;
        access_format_put_text(w, str_from(conf_retry_name((enum conf_retry)bit)));
        if (reasons >= bit << 1)
            put_lit(w, ",");
    }
    put_lit(w, "\"");
}

static void json_backend(struct writer *w, const struct access_record *r)
{
    json_text(w, "pool", str_from(r->pool));
    json_text(w, "backend", str_from(r->backend));
    json_text(w, "backend_state", str_from(r->backend_state));
    json_some(w, "backend_status", r->backend_status);
    json_some(w, "attempts", r->attempts);
    json_retried(w, r->retried);
    json_true(w, "raced", r->hedged);
    json_true(w, "reused", r->reused);
    json_true(w, "sticky", r->sticky);
}

static void json_tls(struct writer *w, const struct access_record *r)
{
    if (!r->tls_version)
        return;
    json_text(w, "tls", str_from(r->tls_version));
    json_text(w, "cipher", str_from(r->tls_cipher));
    json_true(w, "resumed", r->tls_resumed);
    json_text(w, "sni", str_from(r->sni));
    json_text(w, "tls_client", str_from(r->tls_client));
}

static void json_line(struct writer *w, uint32_t slot, const struct access_record *r)
{
    uint16_t port;

    put_lit(w, "{\"time\":\"");
    put_iso(w, r->start_wall_ms);
    put_lit(w, "\"");
    json_number(w, "worker", slot);
    put_lit(w, KEY("client") "\"");
    put_address(w, r->client, &port);
    put_lit(w, "\"");
    json_number(w, "port", port);
    if (r->peer) {
        put_lit(w, KEY("peer") "\"");
        put_address(w, r->peer, &port);
        put_lit(w, "\"");
        json_number(w, "peer_port", port);
    }
    json_some(w, "request", r->connection_requests);
    json_some(w, "stream", r->stream);
    json_text(w, "id", r->request_id);
    json_text(w, "method", r->method);
    json_number(w, "status", r->status);
    put_lit(w, KEY("end") "\"");
    access_format_put(w, access_end_name(r->end), strlen(access_end_name(r->end)));
    put_lit(w, "\"" KEY("phase") "\"");
    access_format_put(w, access_phase_name(r->phase), strlen(access_phase_name(r->phase)));
    put_lit(w, "\"");
    json_text(w, "error", str_from(r->error));
    json_text(w, "detail", str_from(r->detail));
    json_number(w, "bytes_in", r->bytes_in);
    json_number(w, "bytes_out", r->bytes_out);
    json_some(w, "body_in", r->body_in);
    json_some(w, "body_out", r->body_out);
    json_times(w, r);
    json_backend(w, r);
    if (r->version_major) {
        put_lit(w, KEY("version") "\"");
        put_version(w, r);
        put_lit(w, "\"");
    }
    json_text(w, "upgrade", str_from(r->upgrade));
    json_text(w, "user", r->user);
    json_text(w, "host", r->host);
    json_text(w, "target", r->target);
    json_tls(w, r);
    json_text(w, "user_agent", r->user_agent);
    json_text(w, "referer", r->referer);
    put_lit(w, "}\n");
}

/* ---- combined */

static void put_quoted(struct writer *w, struct str text)
{
    put_lit(w, " \"");
    if (text.n)
        access_format_put_text(w, text);
    else
        put_lit(w, "-");
    put_lit(w, "\"");
}

static void combined_line(struct writer *w, const struct access_record *r)
{
    uint16_t port;

    put_address(w, r->client, &port);
    put_lit(w, " - ");
    if (r->user.n)
        access_format_put_text(w, r->user);
    else
        put_lit(w, "-");
    put_lit(w, " ");
    put_common_time(w, r->start_wall_ms);
    put_lit(w, "\"");
    if (r->method.n) {
        access_format_put_text(w, r->method);
        put_lit(w, " ");
        access_format_put_text(w, r->target);
        if (r->version_major) {
            put_lit(w, " ");
            put_version(w, r);
        }
    } else {
        put_lit(w, "-");
    }
    put_lit(w, "\" ");
    if (r->status)
        put_number(w, r->status);
    else
        put_lit(w, "-");
    put_lit(w, " ");
    put_number(w, r->body_out);
    put_quoted(w, r->referer);
    put_quoted(w, r->user_agent);
    put_lit(w, "\n");
}

size_t access_format(char *out, size_t cap, enum conf_access_format format, uint32_t slot,
                     const struct access_record *record)
{
    if (cap < ACCESS_LINE_MAX)
        return 0;

    struct writer w = {
        .p = out,
        .end = out + ACCESS_LINE_MAX,
        .text_end = out + ACCESS_LINE_MAX - ACCESS_RESERVE,
        .json = format == CONF_ACCESS_JSON,
    };

    if (w.json)
        json_line(&w, slot, record);
    else
        combined_line(&w, record);
    return (size_t)(w.p - out);
}
