#include "worker/status/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

#include "shm/admission.h"
#include "shm/client_cells.h"
#include "shm/sessions.h"
#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "shm/status/text.h"

/* ---- a number of a struct, and how it is shown */

struct metric {
    const char *name, *type, *help;
    size_t at;     /* offset of an unsigned number in the struct */
    uint32_t size; /* bytes of that number */
    double per;    /* it is shown divided by this; 1: as it is */
};

#define METRIC(name, type, owner, field, per, help)                                          \
    {                                                                                        \
        name, type, help, offsetof(struct owner, field), sizeof(((struct owner *)0)->field), \
            per                                                                              \
    }

static uint64_t number(const struct metric *m, const void *owner)
{
    const void *at = (const char *)owner + m->at;

    switch (m->size) {
    case sizeof(uint8_t):
        return *(const uint8_t *)at;
    case sizeof(uint16_t):
        return *(const uint16_t *)at;
    case sizeof(uint32_t):
        return *(const uint32_t *)at;
    default:
        return *(const uint64_t *)at;
    }
}

static void add_number(struct text *out, const struct metric *m, const void *owner)
{
    if (m->per > 1)
        text_add(out, " %.15g\n", (double)number(m, owner) / m->per);
    else
        text_add(out, " %" PRIu64 "\n", number(m, owner));
}

static void head(struct text *out, const char *name, const char *type, const char *help)
{
    text_add(out, "# HELP pasgate_%s %s\n# TYPE pasgate_%s %s\n", name, help, name, type);
}

/* ---- about the service */

static const struct metric totals[] = {
#define T(name, type, field, help) METRIC(name, type, status_service, field, 1, help)
    T("connections", "gauge", connections, "Client connections now."),
    T("connections_limit", "gauge", connections_limit,
      "Limit of client connections, by setting or host."),
    T("connections_total", "counter", connections_total, "Client connections ever."),
    T("connections_refused_total", "counter", connections_refused,
      "Times that accepting paused because all connections were in use."),
    T("connections_reused_total", "counter", connections_reused,
      "Idle connections closed to make room for new ones."),
    T("exchanges", "gauge", exchanges, "Requests being served now."),
    T("exchanges_total", "counter", exchanges_total, "Requests ever."),
    T("client_bytes_in_total", "counter", bytes_in,
      "Bytes from clients, before TLS, heads included."),
    T("client_bytes_out_total", "counter", bytes_out, "Bytes to clients, likewise."),
    T("tls_handshakes_total", "counter", handshakes, "TLS handshakes completed."),
    T("tls_handshakes_resumed_total", "counter", handshakes_resumed, "TLS handshakes resumed."),
    T("tls_handshake_errors_total", "counter", handshake_errors, "TLS handshakes failed."),
    T("bad_requests_total", "counter", bad_requests, "Requests refused as malformed."),
    T("own_errors_total", "counter", own_errors, "5xx responses made by pasgate itself."),
    T("log_lines_lost_total", "counter", log_lost,
      "Log lines lost because the reader was too slow."),
    T("access_lines_lost_total", "counter", access_lost,
      "Access log lines lost because the reader was too slow."),
    T("status_requests_total", "counter", status_requests,
      "Requests at status listeners, which are counted nowhere else."),
    T("slow_bodies_total", "counter", slow_bodies,
      "Requests whose body stopped arriving or was slower than limits.min_body_rate."),
    T("slow_readers_total", "counter", slow_readers,
      "Connections reset because the client stopped reading or was slower than "
      "limits.min_read_rate."),
    T("memory_refused_total", "counter", memory_refused,
      "Buffers refused by limits.memory or limits.response_memory."),
    T("heads_dropped_total", "counter", heads_dropped,
      "Connections without a complete request, or TLS handshake, that were ended to make room "
      "for others (limits.connections, limits.memory)."),
    T("connections_denied_total", "counter", connections_denied,
      "Connections closed because of listen.clients."),
    T("requests_denied_total", "counter", requests_denied,
      "403: requests refused by who the client is (clients)."),
    T("proxy_header_errors_total", "counter", proxy_header_errors,
      "Connections closed without a valid PROXY header (listen.proxy_protocol)."),
    T("http2_connections_total", "counter", http2_connections, "Client connections by HTTP/2."),
    T("http2_requests_total", "counter", http2_requests, "Requests that came by HTTP/2."),
    T("http2_resets_total", "counter", http2_resets,
      "HTTP/2 streams that ended early because of the client."),
    T("http2_refused_total", "counter", http2_refused,
      "HTTP/2 streams refused because their client had 100 others open."),
    T("http2_ended_resets_total", "counter", http2_ended_resets,
      "HTTP/2 connections ended because too many streams were reset."),
    T("http2_ended_frames_total", "counter", http2_ended_frames,
      "HTTP/2 connections ended because of too many frames of no use."),
    T("http2_ended_unread_total", "counter", http2_ended_unread,
      "HTTP/2 connections ended because replies to PING and SETTINGS were not read."),
    T("http2_ended_blocks_total", "counter", http2_ended_blocks,
      "HTTP/2 connections ended because of header blocks that are too large, or slow."),
    T("http2_ended_protocol_total", "counter", http2_ended_protocol,
      "HTTP/2 connections ended because of other breaches of the protocol."),
    T("clients_unlimited_total", "counter", clients_unlimited,
      "Times that a client found no place among those remembered, and so had no limits "
      "(limits.per_client)."),
    T("logins_failed_total", "counter", logins_failed, "401: wrong names or passwords."),
    T("logins_limited_total", "counter", logins_limited,
      "429 and 503: passwords that were not verified, because of too many wrong ones or too "
      "many at a time."),
    T("buffer_bytes", "gauge", buffer_bytes, "Bytes in connection buffers now."),
    T("response_buffer_bytes", "gauge", response_bytes,
      "Bytes of responses that clients are slow to read."),
#undef T
};

static void one(struct text *out, const char *name, const char *type, const char *help,
                double value)
{
    head(out, name, type, help);
    text_add(out, "pasgate_%s %.15g\n", name, value);
}

/* A process that has no heartbeat yet has no line. */
static void heartbeats(struct text *out, const struct status_service *s)
{
    const struct {
        const char *process;
        uint64_t age_ms;
    } all[] = {
        {"supervisor", s->supervisor_age_ms},
        {"healthd", s->healthd_age_ms},
        {"acmed", s->acmed_age_ms},
    };

    head(out, "heartbeat_age_seconds", "gauge", "Seconds since the process's last heartbeat.");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].age_ms != UINT64_MAX)
            text_add(out, "pasgate_heartbeat_age_seconds{process=\"%s\"} %.15g\n",
                     all[i].process, (double)all[i].age_ms / 1000);
}

static void service(struct text *out, const struct status_service *s)
{
    const struct header_row *h = &s->header;

    head(out, "info", "gauge", "Always 1.");
    text_add(out, "pasgate_info{version=");
    text_label(out, h->version);
    text_add(out, "} 1\n");
    one(out, "uptime_seconds", "gauge", "Seconds since the service started.",
        (double)s->uptime_ms / 1000);
    heartbeats(out, s);
    one(out, "wishes_saved", "gauge",
        "1: admin overrides are stored and survive a restart of the service.",
        h->saved == SAVED_OK);
    one(out, "workers", "gauge", "Workers that accept new requests.", s->workers_running);
    one(out, "table_generation", "gauge", "Generation of the configuration.",
        h->config_generation);
    one(out, "config_last_reload_successful", "gauge",
        "1: the last reload succeeded, or there was none.",
        h->reload_wall_ms == 0 || h->reload_ok);
    one(out, "config_last_reload_timestamp_seconds", "gauge",
        "Time of the last reload, seconds since 1970.", (double)h->reload_wall_ms / 1000);
    one(out, "config_reloads_total", "counter", "Reloads tried.", h->reloads);
    one(out, "config_reload_failures_total", "counter", "Of these, failed.",
        h->reload_failures);
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        head(out, totals[i].name, totals[i].type, totals[i].help);
        text_add(out, "pasgate_%s", totals[i].name);
        add_number(out, &totals[i], s);
    }
    head(out, "responses_total", "counter", "Responses to clients.");
    for (int i = 1; i < 6; i++)
        text_add(out, "pasgate_responses_total{code=\"%dxx\"} %" PRIu64 "\n", i, s->status[i]);
    head(out, "tls_handshake_failures_total", "counter", "Failed TLS handshakes by reason.");
    for (int i = 0; i < HANDSHAKE_FAILURES; i++)
        text_add(out, "pasgate_tls_handshake_failures_total{reason=\"%s\"} %" PRIu64 "\n",
                 handshake_failure_name((enum handshake_failure)i), s->handshake_failures[i]);
    head(out, "client_refusals_total", "counter",
         "Connections and requests refused by limits.per_client, by limit.");
    for (int i = 0; i < CLIENT_LIMITS; i++)
        text_add(out, "pasgate_client_refusals_total{limit=\"%s\"} %" PRIu64 "\n",
                 client_limit_name((enum client_limit)i), s->client_refusals[i]);
}

/* ---- backends: all lines of one metric must be consecutive, so each backend is first read
 * once into this array; a process that never renders the page never touches it */

static struct status_backend backends[TABLE_BACKENDS];
static int nbackends;

#define B(name, type, field, per, help) METRIC(name, type, status_backend, field, per, help)
static const struct metric metrics[] = {
    B("backend_weight", "gauge", backend.weight, 1, "Configured weight."),
    B("backend_max_in_flight", "gauge", backend.max_in_flight, 1,
      "max_in_flight over all workers; 0: none."),
    B("backend_in_flight", "gauge", sum.in_flight, 1, "Requests in flight now."),
    B("backend_current_queue", "gauge", sum.queued, 1, "Requests that wait for a slot of it."),
    B("backend_oldest_seconds", "gauge", sum.oldest_ms, 1000,
      "Longest wait for a first byte now."),
    B("backend_slow_start_ratio", "gauge", slow_permille, 1000,
      "Share of its weight that it gets; 1: all."),
    B("backend_idle_connections", "gauge", sum.idle, 1, "Idle connections kept open."),
    B("backend_health_weight_ratio", "gauge", health.weight_permille, 1000,
      "Share of its weight that its health leaves it; 1: all."),
    B("backend_measured_total", "counter", sum.measured, 1,
      "Responses that were compared with those of other backends."),
    B("backend_measured_5xx_total", "counter", sum.measured_5xx, 1, "Of these, 5xx."),
    B("backend_measured_4xx_total", "counter", sum.measured_4xx, 1, "Of these, 4xx."),
    B("backend_measured_slow_total", "counter", sum.measured_slow, 1,
      "Of these, slow: later than ten times the pool's median and a second."),
    B("backend_requests_total", "counter", sum.completed, 1, "Responses completed."),
    B("backend_connects_total", "counter", sum.connects, 1, "Connections opened."),
    B("backend_connect_errors_total", "counter", sum.connect_errors, 1,
      "Connections that failed."),
    B("backend_resets_total", "counter", sum.resets, 1, "Connections reset before a response."),
    B("backend_timeouts_total", "counter", sum.timeouts, 1, "Responses that timed out."),
    B("backend_cut_total", "counter", sum.cut, 1, "Responses cut in the middle of the body."),
    B("backend_gateway_errors_total", "counter", sum.gateway_errors, 1,
      "502, 503 and 504 responses of the backend itself."),
    B("backend_server_errors_total", "counter", sum.server_errors, 1,
      "Other 5xx responses of the backend itself."),
    B("backend_retry_warnings_total", "counter", sum.retries, 1,
      "Requests moved to another backend."),
    B("backend_hedges_total", "counter", sum.hedges, 1,
      "Requests that were also sent to another backend while they waited here."),
    B("backend_overtaken_total", "counter", sum.detached, 1,
      "Requests hedged for silence or on probation that another backend responded to first."),
    B("backend_mute_total", "counter", sum.probation_unanswered, 1,
      "Of these, the ones that it never responded to."),
    B("backend_bytes_in_total", "counter", sum.bytes_in, 1, "Bytes from the backend."),
    B("backend_bytes_out_total", "counter", sum.bytes_out, 1, "Bytes to the backend."),
    B("backend_tls_handshakes_total", "counter", sum.tls_handshakes, 1,
      "TLS handshakes with it (pools.tls)."),
    B("backend_tls_resumed_total", "counter", sum.tls_resumed, 1,
      "Of these, sessions that were resumed."),
    B("backend_tls_errors_total", "counter", sum.tls_errors, 1,
      "TLS handshakes with it that failed: nothing was sent."),
    B("backend_checks_total", "counter", health.probes, 1, "Health checks."),
    B("backend_check_failures_total", "counter", health.failures, 1, "Of these, failed."),
    B("backend_check_duration_seconds", "gauge", health.probe_us, 1e6,
      "Duration of the last check."),
    B("backend_ejections", "gauge", health.ejections, 1, "Ejections in a row."),
    B("backend_restarts", "gauge", admin.attempts, 1, "Restarts in the last hour."),
    B("backend_health_score", "gauge", health.score_permille, 1000,
      "Health score of the HealthScanner, 0 to 1."),
};
#undef B

#define VALUE(id, expression)                                                        \
    static double id(const struct status_backend *b, const struct status_service *s) \
    {                                                                                \
        (void)s;                                                                     \
        return (double)(expression);                                                 \
    }

VALUE(up, admission_state(&b->admin) == ADMIN_READY && health_serves(b->health.state))
VALUE(sessions, b->sessions == SESSIONS_UNCOUNTED ? NAN : b->sessions)
VALUE(change, b->health.since_ms && s->now_ms > b->health.since_ms
                  ? (double)(s->now_ms - b->health.since_ms) / 1000
                  : 0)
VALUE(ejected, (double)status_eject_left_ms(&b->health) / 1000)
VALUE(healing, b->admin.heal != RECOVERY_NONE && b->admin.heal != RECOVERY_HOLD)
VALUE(held, b->admin.heal == RECOVERY_HOLD)
#undef VALUE

/* The same where more than one number decides: gauges. */
static const struct {
    const char *name, *help;
    double (*value)(const struct status_backend *, const struct status_service *);
} computed[] = {
    {"backend_up", "1: gets new requests.", up},
    {"backend_sessions",
     "Sessions seen within session_idle; NaN: some, not counted for lack of shared memory.",
     sessions},
    {"backend_check_last_change_seconds", "Seconds since the state changed.", change},
    {"backend_ejected_seconds", "Seconds until the ejection ends; 0: not ejected.", ejected},
    {"backend_healing", "1: being restarted, or in slow start after a restart.", healing},
    {"backend_held", "1: restarts did not help; needs a human.", held},
};

static void labels(struct text *out, const struct status_backend *b)
{
    text_add(out, "{pool=");
    text_label(out, b->backend.pool);
    text_add(out, ",backend=");
    text_label(out, b->backend.name);
}

enum { STATUS_DRAIN = HEALTH_STATES, STATUS_MAINT, STATUSES };

static const char *status_name(int status)
{
    return status == STATUS_DRAIN   ? admin_state_name(ADMIN_DRAIN)
           : status == STATUS_MAINT ? admin_state_name(ADMIN_MAINT)
                                    : health_state_name((enum health_state)status);
}

static void status_lines(struct text *out)
{
    head(out, "backend_status", "gauge", "1 for the state that it is in.");
    for (int i = 0; i < nbackends; i++) {
        const struct status_backend *b = &backends[i];
        int now = b->admin.override == ADMIN_DRAIN   ? STATUS_DRAIN
                  : b->admin.override == ADMIN_MAINT ? STATUS_MAINT
                                                     : b->health.state;

        for (int n = 0; n < STATUSES; n++) {
            text_add(out, "pasgate_backend_status");
            labels(out, b);
            text_add(out, ",state=\"%s\"} %d\n", status_name(n), n == now);
        }
    }
}

static void backend_lines(struct text *out, const struct status_service *s)
{
    for (size_t m = 0; m < sizeof metrics / sizeof *metrics; m++) {
        head(out, metrics[m].name, metrics[m].type, metrics[m].help);
        for (int i = 0; i < nbackends; i++) {
            text_add(out, "pasgate_%s", metrics[m].name);
            labels(out, &backends[i]);
            text_add(out, "}");
            add_number(out, &metrics[m], &backends[i]);
        }
    }
    for (size_t m = 0; m < sizeof computed / sizeof *computed; m++) {
        head(out, computed[m].name, "gauge", computed[m].help);
        for (int i = 0; i < nbackends; i++) {
            text_add(out, "pasgate_%s", computed[m].name);
            labels(out, &backends[i]);
            double value = computed[m].value(&backends[i], s);
            if (isnan(value))
                text_add(out, "} NaN\n");
            else
                text_add(out, "} %.15g\n", value);
        }
    }
}

static void latency_lines(struct text *out)
{
    head(out, "backend_first_byte_seconds", "histogram",
         "Time from request sent to first byte.");
    for (int i = 0; i < nbackends; i++) {
        const struct status_backend *b = &backends[i];
        uint64_t below = 0;

        for (int l = 0; l < TABLE_LATENCY; l++) {
            below += b->sum.latency[l];
            if (l < 8 || l == TABLE_LATENCY - 1) /* one bucket is enough below 0.5 ms */
                continue;
            text_add(out, "pasgate_backend_first_byte_seconds_bucket");
            labels(out, b);
            text_add(out, ",le=\"%.6f\"} %" PRIu64 "\n", (double)(UINT64_C(2) << l) / 1e6,
                     below);
        }
        text_add(out, "pasgate_backend_first_byte_seconds_bucket");
        labels(out, b);
        text_add(out, ",le=\"+Inf\"} %" PRIu64 "\npasgate_backend_first_byte_seconds_count",
                 b->sum.latency_count);
        labels(out, b);
        text_add(out, "} %" PRIu64 "\n", b->sum.latency_count);
    }
}

static void pools(struct text *out, const struct summary *summary)
{
    static const struct metric rows[] = {
#define P(name, type, field, help) METRIC(name, type, summary_pool, field, 1, help)
        P("pool_backends", "gauge", backends, "Configured backends."),
        P("pool_backends_available", "gauge", available, "Backends that get new requests."),
        P("pool_queued", "gauge", queued, "Requests that wait for a slot."),
        P("pool_queue_full_total", "counter", queue_full, "503: the queue was full."),
        P("pool_queue_timeouts_total", "counter", queue_timeouts, "503: no slot in time."),
#undef P
    };

    for (size_t m = 0; m < sizeof rows / sizeof *rows; m++) {
        head(out, rows[m].name, rows[m].type, rows[m].help);
        for (uint32_t i = 0; i < summary->npools; i++) {
            text_add(out, "pasgate_%s{pool=", rows[m].name);
            text_label(out, summary->pool[i].name);
            text_add(out, "}");
            add_number(out, &rows[m], &summary->pool[i]);
        }
    }
}

static void status_metrics_certificates(struct text *out, const struct table *table,
                                        uint64_t now_wall_ms)
{
    enum { NOT_AFTER, AS_CONFIGURED, NEXT_TRY, KINDS };
    static const char *const text[KINDS][2] = {
        {"tls_certs_not_after", "End of validity, seconds since 1970."},
        {"tls_certs_as_configured", "1: all workers serve the live generation."},
        {"acme_next_try_seconds", "Next order, seconds since 1970; 0: none."},
    };
    struct cert_row cert;

    for (int kind = 0; kind < KINDS; kind++) {
        head(out, text[kind][0], "gauge", text[kind][1]);
        for (uint32_t i = 0; i < table_certs(table); i++) {
            if (!status_cert_read(table, (int)i, &cert))
                continue;
            text_add(out, "pasgate_%s{name=", text[kind][0]);
            text_label(out, cert.name);
            if (kind == NOT_AFTER)
                text_add(out, ",source=\"%s\"", status_cert_source(&cert));
            text_add(out, "} %" PRIu64 "\n",
                     kind == NOT_AFTER  ? cert.not_after_wall_ms / 1000
                     : kind == NEXT_TRY ? cert.next_try_wall_ms / 1000
                                        : !summary_cert(table, i, &cert, now_wall_ms));
        }
    }
}

ssize_t status_metrics(const struct table *table, char *bytes, size_t cap)
{
    struct text text = text_into(bytes, cap), *out = &text;
    struct status_service s;
    struct summary summary;

    nbackends = 0;
    if (!status_service_read(table, &s))
        return 0;
    for (int i = 0; i < TABLE_BACKENDS; i++)
        if (status_backend_read(table, i, &backends[nbackends]) &&
            backends[nbackends].backend.configured)
            nbackends++;
    service(out, &s);
    summary_read(table, &s, &summary);
    one(out, "ready", "gauge", "1: each pool has a backend that gets new requests.",
        summary.ready);
    pools(out, &summary);
    status_lines(out);
    backend_lines(out, &s);
    latency_lines(out);
    status_metrics_certificates(out, table, s.now_wall_ms);
    return text_done(out);
}
