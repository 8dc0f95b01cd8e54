#include "worker/status/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "shm/status/text.h"
#include "worker/status/human.h"
#include "worker/status/metrics.h"

static const char style[] =
    ":root{--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#667085;--line:#e4e7ec;"
    "--good:#12875a;--warn:#b25e09;--bad:#c5303c;--calm:#5b6b86;--bar:#3b6fd4;color-scheme:"
    "light}"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f141b;--card:#171e28;--ink:#e6eaf0;"
    "--soft:#94a0b3;--line:#283240;--good:#46c48f;--warn:#f0a54a;--bad:#ff7a80;--calm:#93a4c1;"
    "--bar:#6d9bf5;color-scheme:dark}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:14px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{max-width:1180px;margin:0 auto;padding:28px 20px 48px}"
    "header{display:flex;flex-wrap:wrap;align-items:baseline;gap:4px 14px;margin-bottom:20px}"
    "h1{font-size:22px;letter-spacing:-.02em;margin:0}h1 i{font-style:normal;color:var(--bar)}"
    "h2{font-size:13px;font-weight:600;color:var(--soft);margin:28px 0 8px}"
    "h2 b{color:var(--ink)}header span,small,.soft{color:var(--soft)}small{font-size:12px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px}"
    ".tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}"
    ".tile{padding:12px 14px}.tile b{display:block;font-size:22px;font-weight:600;"
    "letter-spacing:-.02em;font-variant-numeric:tabular-nums}"
    ".card{overflow-x:auto}table{border-collapse:collapse;width:100%}"
    "th,td{padding:9px 14px;text-align:left;vertical-align:top;border-top:1px solid "
    "var(--line)}"
    ".b{table-layout:fixed;min-width:1000px}.b th:nth-child(1){width:17%}.b th:nth-child(2)"
    "{width:12%}.b th:nth-child(4){width:11%}.b th:nth-child(5),.b th:nth-child(7){width:7%}"
    ".b th:nth-child(6),.b th:nth-child(9){width:9%}.b th:nth-child(8){width:10%}"
    ".b td{overflow-wrap:anywhere}"
    "tr:first-child>*{border-top:0}th{font-size:12px;font-weight:500;color:var(--soft);"
    "white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}td small{display:block}"
    ".pill{display:inline-flex;align-items:center;gap:7px;font-weight:600;white-space:nowrap;"
    "color:var(--c)}.pill:before{content:'';width:8px;height:8px;border-radius:50%;"
    "background:var(--c)}.good{--c:var(--good)}.warn{--c:var(--warn)}.bad{--c:var(--bad)}"
    ".calm{--c:var(--calm)}.warn.t,.bad.t{color:var(--c)}"
    ".load{display:block;height:4px;border-radius:2px;background:var(--line);margin-top:5px;"
    "min-width:70px}.load i{display:block;height:4px;border-radius:2px;background:var(--bar)}"
    ".note{border-left:3px solid var(--bad);background:var(--card);padding:10px 14px;"
    "border-radius:6px;margin:0 0 16px;overflow-wrap:anywhere}"
    "footer{margin-top:28px;color:var(--soft)}a{color:var(--bar);text-decoration:none}"
    "a:hover{text-decoration:underline}code{font:12px ui-monospace,Menlo,Consolas,monospace}";

/* ---- pieces of the page */

static void pill(struct text *out, const char *tone, const char *word)
{
    text_add(out, "<span class=\"pill %s\">", tone);
    text_html(out, word);
    text_add(out, "</span>");
}

static void tile(struct text *out, const char *value, const char *what)
{
    text_add(out, "<div class=tile><b>%s</b><small>%s</small></div>", value, what);
}

static const char *backend_tone(const struct status_backend *b)
{
    if (!b->backend.configured || b->admin.override != ADMIN_READY)
        return "calm";
    if (b->admin.heal == RECOVERY_HOLD)
        return "bad";
    if (b->admin.heal != RECOVERY_NONE)
        return "warn";
    switch (b->health.state) {
    case HEALTH_UP:
        return "good";
    case HEALTH_DEGRADED:
    case HEALTH_SUSPECT:
    case HEALTH_PROBATION:
        return "warn";
    case HEALTH_EJECTED:
    case HEALTH_DOWN:
        return "bad";
    default:
        return "calm";
    }
}

static void header(struct text *out, const struct status_service *s, const struct table *table)
{
    static const char *const tones[] = {"good", "warn", "bad"};
    const struct header_row *h = &s->header;
    struct summary summary;
    char t[HUMAN_SIZE];

    summary_read(table, s, &summary);
    text_add(out, "<header><h1>pas<i>gate</i></h1>");
    pill(out, tones[summary.tone], summary.text);
    text_add(out, "<span>%u of %u backends up</span><span>version ", summary.up,
             summary.backends);
    text_html(out, h->version);
    text_add(out, "</span><span>up %s</span><span>configuration %u</span></header>",
             human_time(t, s->uptime_ms), h->config_generation);
    if (h->reload_wall_ms && !h->reload_ok) {
        text_add(out, "<p class=note><b class=\"bad t\">The last reload failed</b>, the "
                      "previous configuration stays in use: <code>");
        text_html(out, h->reload_error);
        text_add(out, "</code>");
        if (h->reload_nerrors > 1)
            text_add(out, " and %u more", h->reload_nerrors - 1);
        text_add(out, "</p>");
    }
}

static void tiles(struct text *out, const struct status_service *s)
{
    char t[HUMAN_SIZE], pair[3 * HUMAN_SIZE];
    uint64_t bad = s->status[5];

    text_add(out, "<div class=tiles>");
    tile(out, human_count(t, s->connections), "client connections");
    tile(out, human_count(t, s->exchanges), "requests in progress");
    tile(out, human_count(t, s->exchanges_total), "requests served");
    tile(out, human_count(t, bad), "5xx responses");
    tile(out, human_bytes(t, s->bytes_out), "sent to clients");
    snprintf(pair, sizeof pair, "%.0f %%",
             s->handshakes ? 100.0 * (double)s->handshakes_resumed / (double)s->handshakes : 0);
    tile(out, pair, "TLS sessions resumed");
    text_add(out, "</div>");
}

static void end_remark(struct text *out, size_t before, size_t begin)
{
    if (out->n == begin)
        out->n = before; /* there is nothing to say */
    else
        text_add(out, "</p>");
}

/* Numbers that have no tile. */
static void remarks(struct text *out, const struct table *table, const struct status_service *s)
{
    size_t before = out->n, begin;

    text_add(out, "<p class=soft>");
    begin = out->n;
    status_add_remarks(out, s);
    end_remark(out, before, begin);
    before = out->n;
    text_add(out, "<p class=soft>");
    begin = out->n;
    status_add_clients(out, table);
    end_remark(out, before, begin);
}

static void backend_line(struct text *out, const struct status_backend *b,
                         const struct status_service *s)
{
    const struct status_cell *c = &b->sum;
    uint64_t errors = c->connect_errors + c->resets + c->timeouts + c->cut + c->gateway_errors;
    char t[HUMAN_SIZE], u[HUMAN_SIZE], progress[STATUS_PROGRESS];

    text_add(out, "<tr><td><b>");
    text_html(out, b->backend.name);
    text_add(out, "</b><small>");
    text_html(out, b->backend.host);
    text_add(out, ":%u</small><td>", b->backend.port);
    pill(out, backend_tone(b), status_backend_word(b));
    uint64_t since = b->admin.override != ADMIN_READY ? b->admin.since_ms : b->health.since_ms;
    if (since && s->now_ms > since)
        text_add(out, "<small>for %s</small>", human_time(t, s->now_ms - since));
    if (*status_backend_progress(b, progress))
        text_add(out, "<small>%s</small>", progress);
    text_add(out, "<td class=soft>");
    text_html(out, status_backend_reason(b));
    text_add(out, "<td class=n>%" PRIu64, c->in_flight);
    if (b->backend.max_in_flight) {
        uint64_t percent = c->in_flight * 100 / b->backend.max_in_flight;

        text_add(out,
                 " <span class=soft>/ %u</span><span class=load><i style=\"width:%u%%\">"
                 "</i></span>",
                 b->backend.max_in_flight, (unsigned)(percent < 100 ? percent : 100));
    }
    text_add(out, "<td class=\"n%s\">%" PRIu64, c->queued ? " warn t" : "", c->queued);
    text_add(out, "<td class=n>%s", human_count(t, c->completed));
    text_add(out, "<td class=\"n%s\">%s", errors ? " bad t" : "", human_count(t, errors));
    if (c->latency_count)
        text_add(out, "<td class=n>%s<small>%s</small>", human_us(t, status_percentile(c, 500)),
                 human_us(u, status_percentile(c, 990)));
    else
        text_add(out, "<td class=\"n soft\">–");
    if (b->health.probe_wall_ms)
        text_add(out, "<td class=n><span class=\"%s\">%s</span><small>%s</small>",
                 b->health.probe_ok ? "" : "bad t", b->health.probe_ok ? "passed" : "failed",
                 human_us(t, b->health.probe_us));
    else
        text_add(out, "<td class=\"n soft\">none yet");
}

/* What waits in the pool's queue, and what was refused or timed out there. */
static void status_page_queue_of(struct text *out, const struct summary_pool *pool)
{
    if (!pool || !(pool->queued + pool->queue_full + pool->queue_timeouts))
        return;
    text_add(out, " &middot; %" PRIu64 " queued", pool->queued);
    if (pool->queue_full + pool->queue_timeouts)
        text_add(out,
                 ", <span class=\"bad t\">since start %" PRIu64
                 " refused because the queue was full, %" PRIu64 " timed out in it</span>",
                 pool->queue_full, pool->queue_timeouts);
}

/* Backends grouped by pool, in the order in which the pools first occur. */
static void backends(struct text *out, const struct table *table,
                     const struct status_service *s)
{
    bool shown[TABLE_BACKENDS] = {false};
    struct summary summary;
    struct status_backend b, first;

    summary_read(table, s, &summary);
    for (int i = 0; i < TABLE_BACKENDS; i++) {
        if (shown[i] || !status_backend_read(table, i, &first))
            continue;
        text_add(out, "<h2>Pool <b>");
        text_html(out, first.backend.pool);
        text_add(out, "</b>");
        status_page_queue_of(out, summary_find(&summary, first.backend.pool));
        text_add(out, "</h2><div class=card><table class=b><tr><th>Backend<th>State<th>Why"
                      "<th class=n>In flight<th class=n>Queue<th class=n>Requests<small>since "
                      "start</small><th class=n>Errors<small>since start</small><th "
                      "class=n>Median, p99<th class=n>Check");
        for (int j = i; j < TABLE_BACKENDS; j++)
            if (!shown[j] && status_backend_read(table, j, &b) &&
                strcmp(b.backend.pool, first.backend.pool) == 0) {
                shown[j] = true;
                backend_line(out, &b, s);
            }
        text_add(out, "</table></div>");
    }
}

static void status_page_certificates(struct text *out, const struct table *table,
                                     const struct status_service *s)
{
    enum { SOON_DAYS = 14, DAY_MS = 86400000 };
    struct cert_row c;
    char next[CLOCK_ISO_SIZE];
    struct summary_certs certs;
    char rest[SUMMARY_TEXT], revoked[STATUS_REVOKED_SIZE];
    bool any = false;

    summary_certs(table, s->now_wall_ms, &certs);
    for (uint32_t i = 0; i < certs.nshown; i++) {
        if (!status_cert_read(table, (int)certs.shown[i], &c))
            continue;
        if (!any)
            text_add(out, "<h2>Certificates</h2><div class=card><table><tr><th>Name<th>Source"
                          "<th>Issuer<th class=n>Expires<th class=n>Next try<th>Last error");
        any = true;
        uint64_t left =
            c.not_after_wall_ms > s->now_wall_ms ? c.not_after_wall_ms - s->now_wall_ms : 0;
        text_add(out, "<tr><td><b>");
        text_html(out, c.name);
        text_add(out, "</b><small>generation %u", c.generation);
        if (*c.key) {
            text_add(out, ", ");
            text_html(out, c.key);
        }
        text_add(out, "</small><td>");
        pill(out,
             c.source == CERT_SELF_SIGNED ? "warn"
             : c.source == CERT_NONE      ? "bad"
                                          : "good",
             status_cert_source(&c));
        text_add(out, "<td class=soft>");
        text_html(out, c.issuer);
        text_add(out, "<td class=\"n%s\">",
                 left < (uint64_t)SOON_DAYS * DAY_MS ? " bad t" : "");
        if (!c.generation)
            text_add(out, "–");
        else if (left)
            text_add(out, "in %" PRIu64 " d", left / DAY_MS);
        else
            text_add(out, "expired");
        text_add(out, "<td class=n>%s<td class=\"bad t\">", status_cert_next(&c, next));
        status_cert_revoked(&c, revoked);
        text_add(out, "%s%s", revoked, *revoked && *c.error ? "; " : "");
        text_html(out, c.error);
        if (*c.doing) {
            text_add(out, "<small>");
            text_html(out, c.doing);
            text_add(out, "</small>");
        }
        for (int n = 0; n < TABLE_NOTES && *c.note[n]; n++) {
            text_add(out, "<small>");
            text_html(out, c.note[n]);
            text_add(out, "</small>");
        }
    }
    if (*summary_certs_rest(&certs, rest))
        text_add(out, "<tr><td class=soft colspan=6>%s: <code>pasgate cert list</code>", rest);
    if (any)
        text_add(out, "</table></div>");
}

static void processes(struct text *out, const struct table *table,
                      const struct status_service *s)
{
    struct child_row c;
    char t[HUMAN_SIZE];

    text_add(out,
             "<h2>Processes</h2><div class=card><table><tr><th>Process<th>State<th class=n>"
             "Pid<th class=n>Configuration<th class=n>Restarts<th class=n>Up");
    for (int i = 0; i < TABLE_CHILDREN; i++) {
        if (!status_child_read(table, i, &c))
            continue;
        text_add(out, "<tr><td><b>%s", kind_name(c.kind));
        if (c.kind == KIND_WORKER)
            text_add(out, " %u", c.slot);
        text_add(out, "</b><td>");
        pill(out,
             c.state == CHILD_RUNNING   ? "good"
             : c.state == CHILD_BACKOFF ? "bad"
                                        : "warn",
             child_state_name(c.state));
        text_add(out, "<td class=n>%d<td class=n>%u<td class=\"n%s\">%u<td class=n>",
                 c.pid > 0 ? (int)c.pid : 0, c.generation, c.restarts ? " warn t" : "",
                 c.restarts);
        if (c.started_wall_ms && s->now_wall_ms > c.started_wall_ms)
            text_add(out, "%s", human_time(t, s->now_wall_ms - c.started_wall_ms));
    }
    text_add(out, "</table></div>");
}

static ssize_t page(const struct table *table, char *bytes, size_t cap)
{
    struct text text = text_into(bytes, cap), *out = &text;
    struct status_service s;

    text_add(out,
             "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh "
             "content=2><meta name=viewport content=\"width=device-width,initial-scale=1\">"
             "<meta name=color-scheme content=\"light dark\"><title>pasgate</title>"
             "<style>%s</style><main>",
             style);
    if (status_service_read(table, &s)) {
        header(out, &s, table);
        tiles(out, &s);
        remarks(out, table, &s);
        backends(out, table, &s);
        status_page_certificates(out, table, &s);
        processes(out, table, &s);
    } else {
        text_add(out,
                 "<p class=note>The table is being written; this page reloads itself.</p>");
    }
    text_add(out,
             "<footer>Reloads every 2 seconds &middot; <a href=/status.json>status.json</a> "
             "&middot; <a href=/metrics>metrics</a></footer></main></html>\n");
    return text_done(out);
}

static ssize_t status_page_plain(char *out, size_t cap, const char *word)
{
    struct text text = text_into(out, cap);

    text_add(&text, "%s\n", word);
    return text_done(&text);
}

/* A byte of a query, or the one that %XX encodes; advances *i past it. */
static char query_byte(struct str value, size_t *i)
{
    char c = value.p[(*i)++];
    int high = c == '%' && *i + 1 < value.n ? ascii_hex((unsigned char)value.p[*i]) : -1;
    int low = high >= 0 ? ascii_hex((unsigned char)value.p[*i + 1]) : -1;

    if (low < 0)
        return c;
    *i += 2;
    return (char)(high << 4 | low);
}

/* The decoded value of a field of a query, cut if out is full; false: not found. */
static bool query_field(struct str query, struct str field, char *out, size_t cap)
{
    while (query.n > 0) {
        const char *end = memchr(query.p, '&', query.n);
        struct str part = str_head(query, end ? (size_t)(end - query.p) : query.n);
        size_t n = 0;

        query = str_skip(query, part.n + (end != NULL));
        if (!str_starts(part, field))
            continue;
        for (size_t i = field.n; i < part.n && n + 1 < cap;)
            out[n++] = query_byte(part, &i);
        out[n] = '\0';
        return true;
    }
    return false;
}

/* Of all pools, or of the requested one. */
static ssize_t readiness(const struct table *table, struct str query, char *out, size_t cap,
                         int *status)
{
    struct text text = text_into(out, cap);
    struct status_service s;
    struct summary summary;
    char name[2 * TABLE_NAME]; /* long enough that a cut name differs from every pool's */
    bool one = query_field(query, STR("pool="), name, sizeof name);

    *status = 503;
    if (!status_service_read(table, &s))
        return status_page_plain(out, cap, "no worker");
    summary_read(table, &s, &summary);
    if (!s.workers_running || s.header.stopping)
        return status_page_plain(out, cap, summary.text);
    for (uint32_t i = 0; i < summary.npools; i++) {
        const struct summary_pool *pool = &summary.pool[i];

        if (one && strcmp(name, pool->name) != 0)
            continue;
        text_add(&text, "%s: pool ", pool->available ? "ready" : "not ready");
        text_json(&text, pool->name);
        text_add(&text, ", %u of %u backends\n", pool->available, pool->backends);
        if (one)
            *status = pool->available ? 200 : 503;
    }
    if (one && text.n == 0) {
        *status = 404;
        return status_page_plain(out, cap, "no such pool");
    }
    if (!one && summary.ready)
        *status = 200;
    return text_done(&text);
}

ssize_t status_page_render(const struct table *table, const char *path, struct str query,
                           char *out, size_t cap, const char **content_type, int *status)
{
    struct status_service s;

    *status = 200;
    *content_type = "text/plain; charset=utf-8";
    if (strcmp(path, "/") == 0) {
        *content_type = "text/html; charset=utf-8";
        return page(table, out, cap);
    }
    if (strcmp(path, "/status.json") == 0) {
        *content_type = "application/json";
        return status_json(table, out, cap);
    }
    if (strcmp(path, "/metrics") == 0) {
        *content_type = "text/plain; version=0.0.4; charset=utf-8";
        return status_metrics(table, out, cap);
    }
    if (strcmp(path, "/healthz") == 0) {
        if (status_service_read(table, &s) && s.workers_running)
            return status_page_plain(out, cap, "ok");
        *status = 503;
        return status_page_plain(out, cap, "no worker");
    }
    if (strcmp(path, "/readyz") == 0)
        return readiness(table, query, out, cap, status);
    *status = 404;
    return status_page_plain(out, cap,
                             "not found: try /, /status.json, /metrics, /healthz or /readyz");
}
