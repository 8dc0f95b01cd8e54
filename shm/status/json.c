/* `pasgate status --json` and /status.json. Keys are only ever added. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "shm/certs.h"
#include "shm/client_cells.h"
#include "shm/sessions.h"
#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "shm/status/text.h"

#define NUMBER(name, value) text_add(out, ",\"" name "\":%" PRIu64, most((uint64_t)(value)))
#define STRING(name, value)              \
    do {                                 \
        text_add(out, ",\"" name "\":"); \
        text_json(out, value);           \
    } while (0)
#define TIME(name, value)                \
    do {                                 \
        text_add(out, ",\"" name "\":"); \
        text_json_time(out, value);      \
    } while (0)
#define BOOL(name, value) text_add(out, ",\"" name "\":%s", (value) ? "true" : "false")

/* Readers of JSON reject numbers that do not fit in 63 bits; no true number is that large. */
static uint64_t most(uint64_t number)
{
    return number < (uint64_t)INT64_MAX ? number : (uint64_t)INT64_MAX;
}

static void add_age(struct text *out, const char *name, uint64_t age_ms)
{
    if (age_ms == UINT64_MAX)
        text_add(out, ",\"%s\":null", name);
    else
        text_add(out, ",\"%s\":%" PRIu64, name, most(age_ms));
}

static void add_service(struct text *out, const struct status_service *s)
{
    const struct header_row *h = &s->header;

    text_add(out, "\"service\":\"pasgate\"");
    STRING("version", h->version);
    TIME("time", s->now_wall_ms);
    NUMBER("pid", h->pid > 0 ? h->pid : 0);
    STRING("config", h->config_file);
    NUMBER("generation", h->config_generation);
    TIME("started", h->started_wall_ms);
    NUMBER("uptime_ms", s->uptime_ms);
    BOOL("stopping", h->stopping);
    text_add(out, ",\"reload\":{\"count\":%u,\"failures\":%u,\"last\":", h->reloads,
             h->reload_failures);
    text_json_time(out, h->reload_wall_ms);
    BOOL("ok", h->reload_wall_ms == 0 || h->reload_ok);
    STRING("error", h->reload_error);
    NUMBER("errors", h->reload_nerrors);
    text_add(out, "},\"workers\":{\"live\":%u,\"running\":%u}", s->workers_live,
             s->workers_running);
    BOOL("wishes_saved", h->saved == SAVED_OK);
    add_age(out, "supervisor_age_ms", s->supervisor_age_ms);
    add_age(out, "healthd_age_ms", s->healthd_age_ms);
    add_age(out, "acmed_age_ms", s->acmed_age_ms);
    text_add(out, ",\"totals\":{\"connections\":%" PRIu64, most(s->connections));
    NUMBER("connections_limit", s->connections_limit);
    NUMBER("connections_total", s->connections_total);
    NUMBER("connections_refused", s->connections_refused);
    NUMBER("connections_reused", s->connections_reused);
    NUMBER("exchanges", s->exchanges);
    NUMBER("exchanges_total", s->exchanges_total);
    NUMBER("bytes_in", s->bytes_in);
    NUMBER("bytes_out", s->bytes_out);
    NUMBER("handshakes", s->handshakes);
    NUMBER("handshakes_resumed", s->handshakes_resumed);
    NUMBER("handshake_errors", s->handshake_errors);
    NUMBER("bad_requests", s->bad_requests);
    NUMBER("own_errors", s->own_errors);
    NUMBER("log_lines_lost", s->log_lost);
    NUMBER("access_lines_lost", s->access_lost);
    NUMBER("status_requests", s->status_requests);
    NUMBER("slow_bodies", s->slow_bodies);
    NUMBER("slow_readers", s->slow_readers);
    NUMBER("memory_refused", s->memory_refused);
    NUMBER("heads_dropped", s->heads_dropped);
    NUMBER("connections_denied", s->connections_denied);
    NUMBER("requests_denied", s->requests_denied);
    NUMBER("proxy_header_errors", s->proxy_header_errors);
    NUMBER("http2_connections", s->http2_connections);
    NUMBER("http2_requests", s->http2_requests);
    NUMBER("http2_resets", s->http2_resets);
    NUMBER("http2_refused", s->http2_refused);
    NUMBER("http2_ended_resets", s->http2_ended_resets);
    NUMBER("http2_ended_frames", s->http2_ended_frames);
    NUMBER("http2_ended_unread", s->http2_ended_unread);
    NUMBER("http2_ended_blocks", s->http2_ended_blocks);
    NUMBER("http2_ended_protocol", s->http2_ended_protocol);
    NUMBER("clients_unlimited", s->clients_unlimited);
    NUMBER("logins_failed", s->logins_failed);
    NUMBER("logins_limited", s->logins_limited);
    NUMBER("buffer_bytes", s->buffer_bytes);
    NUMBER("response_bytes", s->response_bytes);
    text_add(out, ",\"status\":{");
    for (int i = 1; i < 6; i++)
        text_add(out, "%s\"%dxx\":%" PRIu64, i > 1 ? "," : "", i, most(s->status[i]));
    text_add(out, "},\"handshake_failures\":{");
    for (int i = 0; i < HANDSHAKE_FAILURES; i++)
        text_add(out, "%s\"%s\":%" PRIu64, i ? "," : "",
                 handshake_failure_name((enum handshake_failure)i),
                 most(s->handshake_failures[i]));
    text_add(out, "},\"client_refusals\":{");
    for (int i = 0; i < CLIENT_LIMITS; i++)
        text_add(out, "%s\"%s\":%" PRIu64, i ? "," : "",
                 client_limit_name((enum client_limit)i), most(s->client_refusals[i]));
    text_add(out, "}}");
}

/* Those that were refused most, then those with the most connections. */
static void add_clients(struct text *out, const struct table *table)
{
    struct client_top top[CLIENT_TOP];
    uint32_t n = client_top(table, top);
    uint64_t now_ms = clock_mono_ms();
    char name[CLIENT_TEXT];

    text_add(out, ",\"clients\":[");
    for (uint32_t i = 0; i < n; i++) {
        const struct client_sum *s = &top[i].sum;

        text_add(out, "%s{\"address\":", i ? "," : "");
        text_json(out, client_text(name, top[i].client));
        NUMBER("connections", s->connections);
        NUMBER("requests", s->requests);
        NUMBER("bytes", s->bytes);
        NUMBER("offences", s->offences);
        NUMBER("refused", s->refused);
        NUMBER("refused_for_ms",
               s->refused_until_ms > now_ms ? s->refused_until_ms - now_ms : 0);
        text_add(out, "}");
    }
    text_add(out, "]");
}

static void add_child(struct text *out, const struct child_row *c)
{
    text_add(out, "{\"kind\":");
    text_json(out, kind_name(c->kind));
    NUMBER("slot", c->slot);
    NUMBER("pid", c->pid > 0 ? c->pid : 0);
    STRING("state", child_state_name(c->state));
    NUMBER("generation", c->generation);
    NUMBER("restarts", c->restarts);
    TIME("started", c->started_wall_ms);
    text_add(out, ",\"last_exit\":%d}", c->last_exit);
}

static void status_json_add_address(struct text *out, const struct health_row *h)
{
    char ip[sizeof h->address + 1] = "";
    const struct sockaddr_un *un = (const struct sockaddr_un *)&h->address;
    const struct sockaddr_in *in = (const struct sockaddr_in *)&h->address;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&h->address;

    if (h->has_address && in->sin_family == AF_INET)
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
    else if (h->has_address && in6->sin6_family == AF_INET6)
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
    else if (h->has_address && un->sun_family == AF_UNIX)
        snprintf(ip, sizeof ip, "%.*s", (int)sizeof un->sun_path, un->sun_path);
    STRING("address", ip);
}

/* How long until the next restart may be tried; 0: no wait. */
static uint64_t heal_wait(const struct admin_row *admin)
{
    uint64_t now = clock_mono_ms();

    return admin->next_try_ms > now ? admin->next_try_ms - now : 0;
}

static void add_counters(struct text *out, const struct status_cell *c)
{
    NUMBER("in_flight", c->in_flight);
    NUMBER("queued", c->queued);
    NUMBER("oldest_ms", c->oldest_ms);
    NUMBER("idle", c->idle);
    NUMBER("completed", c->completed);
    NUMBER("connects", c->connects);
    NUMBER("connect_errors", c->connect_errors);
    NUMBER("resets", c->resets);
    NUMBER("timeouts", c->timeouts);
    NUMBER("cut", c->cut);
    NUMBER("gateway_errors", c->gateway_errors);
    NUMBER("server_errors", c->server_errors);
    NUMBER("retries", c->retries);
    NUMBER("hedges", c->hedges);
    NUMBER("overtaken", c->detached);
    NUMBER("mute", c->probation_unanswered);
    NUMBER("measured", c->measured);
    NUMBER("measured_5xx", c->measured_5xx);
    NUMBER("measured_4xx", c->measured_4xx);
    NUMBER("measured_slow", c->measured_slow);
    NUMBER("bytes_in", c->bytes_in);
    NUMBER("bytes_out", c->bytes_out);
    NUMBER("tls_handshakes", c->tls_handshakes);
    NUMBER("tls_resumed", c->tls_resumed);
    NUMBER("tls_errors", c->tls_errors);
    text_add(out,
             ",\"latency_us\":{\"p50\":%" PRIu64 ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 "}",
             most(status_percentile(c, 500)), most(status_percentile(c, 900)),
             most(status_percentile(c, 990)));
}

static void add_check(struct text *out, const struct health_row *h)
{
    text_add(out, ",\"check\":{\"ok\":%s", h->probe_ok ? "true" : "false");
    TIME("last", h->probe_wall_ms);
    NUMBER("us", h->probe_us);
    STRING("text", h->probe_text);
    NUMBER("rise", h->rise);
    NUMBER("fall", h->fall);
    NUMBER("probes", h->probes);
    NUMBER("failures", h->failures);
    text_add(out, ",\"score\":%.3f}", (double)h->score_permille / 1000);
    text_add(out, ",\"eject\":{\"left_ms\":%" PRIu64, most(status_eject_left_ms(h)));
    NUMBER("in_row", h->ejections);
    text_add(out, "}");
}

static void add_backend(struct text *out, const struct status_backend *b)
{
    const struct health_row *h = &b->health;
    char progress[STATUS_PROGRESS];

    text_add(out, "{\"number\":%d", b->slot + 1); /* as `pasgate drain` takes it */
    STRING("name", b->backend.name);
    STRING("pool", b->backend.pool);
    STRING("host", b->backend.host);
    NUMBER("port", b->backend.port);
    status_json_add_address(out, h);
    STRING("state", status_backend_word(b));
    STRING("reason", status_backend_reason(b));
    STRING("health", health_state_name(h->state));
    TIME("health_since", h->since_wall_ms);
    NUMBER("weight_percent", h->weight_permille / 10);
    STRING("admin", admin_state_name(b->admin.override));
    TIME("admin_since", b->admin.since_wall_ms);
    STRING("admin_who", b->admin.who);
    STRING("drain", status_drain_word(b));
    if (b->drain_left_ms == UINT64_MAX)
        text_add(out, ",\"drain_left_ms\":null");
    else
        NUMBER("drain_left_ms", b->drain_left_ms);
    if (b->sessions == SESSIONS_UNCOUNTED)
        text_add(out, ",\"sessions\":null"); /* some, but nobody knows how many */
    else
        NUMBER("sessions", b->sessions);
    NUMBER("slow_start_percent", b->slow_permille / 10);
    STRING("progress", status_backend_progress(b, progress));
    STRING("heal", recovery_state_name(b->admin.heal));
    STRING("heal_reason", b->admin.recovery_reason);
    TIME("heal_since", b->admin.recovery_since_wall_ms);
    NUMBER("heal_attempts", b->admin.attempts);
    NUMBER("heal_next_try_ms", heal_wait(&b->admin));
    STRING("incident", b->admin.incident);
    NUMBER("weight", b->backend.weight);
    NUMBER("max_in_flight", b->backend.max_in_flight);
    add_counters(out, &b->sum);
    add_check(out, h);
    text_add(out, "}");
}

static void add_cert(struct text *out, const struct table *table, int index,
                     const struct cert_row *c)
{
    uint32_t loaded, workers;

    cert_loaded(table, (uint32_t)index, c->generation, &loaded, &workers);
    text_add(out, "{\"name\":");
    text_json(out, c->name);
    STRING("source", status_cert_source(c));
    NUMBER("generation", c->generation);
    NUMBER("loaded", loaded); /* number of running workers that use it */
    NUMBER("workers", workers);
    NUMBER("candidate", c->candidate); /* being tested; 0: none */
    BOOL("busy", c->busy);
    NUMBER("failures", c->failures);
    TIME("not_before", c->not_before_wall_ms);
    TIME("not_after", c->not_after_wall_ms);
    TIME("next_try", c->next_try_wall_ms);
    TIME("revoked", c->revoked_wall_ms); /* browsers may refuse it since; or null */
    STRING("issuer", c->issuer);
    STRING("key", c->key); /* "P-256", "RSA 2048" */
    STRING("error", c->error);
    STRING("doing", c->doing);
    text_add(out, ",\"notes\":[");
    for (int i = 0; i < TABLE_NOTES && *c->note[i]; i++) {
        text_add(out, "%s", i ? "," : "");
        text_json(out, c->note[i]);
    }
    text_add(out, "]}");
}

/* The judgement of the whole service and of each pool: the same as /readyz. */
static void add_summary(struct text *out, const struct table *table,
                        const struct status_service *s)
{
    static const char *const tones[] = {"good", "warn", "bad"};
    struct summary summary;

    summary_read(table, s, &summary);
    text_add(out, ",\"health\":{\"ready\":%s", summary.ready ? "true" : "false");
    STRING("tone", tones[summary.tone]);
    STRING("text", summary.text);
    text_add(out, "},\"pools\":[");
    for (uint32_t i = 0; i < summary.npools; i++) {
        text_add(out, "%s{\"name\":", i ? "," : "");
        text_json(out, summary.pool[i].name);
        NUMBER("backends", summary.pool[i].backends);
        NUMBER("available", summary.pool[i].available);
        NUMBER("queued", summary.pool[i].queued);
        NUMBER("queue_full", summary.pool[i].queue_full);
        NUMBER("queue_timeouts", summary.pool[i].queue_timeouts);
        text_add(out, "}");
    }
    text_add(out, "]");
}

ssize_t status_json(const struct table *table, char *bytes, size_t cap)
{
    struct text text = text_into(bytes, cap), *out = &text;
    struct status_service service;
    struct status_backend backend;
    struct child_row child;
    struct cert_row cert;
    const char *comma = "";

    text_add(out, "{");
    if (!status_service_read(table, &service)) {
        text_add(out, "\"error\":\"the table is being written\"}\n");
        return text_done(out);
    }
    add_service(out, &service);
    add_summary(out, table, &service);
    add_clients(out, table);
    text_add(out, ",\"children\":[");
    for (int i = 0; i < TABLE_CHILDREN; i++)
        if (status_child_read(table, i, &child)) {
            text_add(out, "%s", comma);
            add_child(out, &child);
            comma = ",";
        }
    comma = "";
    text_add(out, "],\"backends\":[");
    for (int i = 0; i < TABLE_BACKENDS; i++)
        if (status_backend_read(table, i, &backend)) {
            text_add(out, "%s", comma);
            add_backend(out, &backend);
            comma = ",";
        }
    comma = "";
    text_add(out, "],\"certificates\":[");
    for (int i = 0; i < (int)table_certs(table); i++)
        if (status_cert_read(table, i, &cert)) {
            text_add(out, "%s", comma);
            add_cert(out, table, i, &cert);
            comma = ",";
        }
    text_add(out, "]}\n");
    return text_done(out);
}
