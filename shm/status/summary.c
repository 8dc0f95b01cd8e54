#include "shm/status/summary.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/admission.h"
#include "shm/certs.h"
#include "shm/counters.h"

static bool is_healthy(const struct backend_row *b, const struct health_row *health)
{
    return health->identity == b->identity && health->has_address &&
           health_serves(health->state);
}

bool summary_available(const struct backend_row *b, const struct admin_row *admin,
                       const struct health_row *health)
{
    return b->used && b->configured && admission_state(admin) == ADMIN_READY &&
           is_healthy(b, health);
}

/* Does it serve, while it is drained, if no other backend of its pool does? */
static bool is_draining(const struct backend_row *b, const struct admin_row *admin,
                        const struct health_row *health)
{
    return admission_state(admin) == ADMIN_DRAIN && is_healthy(b, health) &&
           health->state != HEALTH_PROBATION;
}

static void count_out(struct summary_pool *pool, const struct backend_row *b,
                      const struct admin_row *admin, const struct health_row *health)
{
    bool out = admission_state(admin) == ADMIN_MAINT;

    pool->out += out;
    pool->out_by_operators += out && admin->override != ADMIN_READY;
    pool->draining += is_draining(b, admin, health);
}

/* Keeps the first of the worst findings. Names come from the table: only
 * printable ASCII is shown. */
static void status_summary_tell(struct summary *s, enum summary_tone tone, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void status_summary_tell(struct summary *s, enum summary_tone tone, const char *fmt, ...)
{
    va_list ap;

    if (s->text[0] && tone <= s->tone)
        return;
    s->tone = tone;
    va_start(ap, fmt);
    vsnprintf(s->text, sizeof s->text, fmt, ap);
    va_end(ap);
    for (char *p = s->text; *p; p++)
        if (*p < 0x20 || *p >= 0x7f)
            *p = '?';
}

static struct summary_pool *status_summary_pool_of(struct summary *s, const char *name)
{
    for (uint32_t i = 0; i < s->npools; i++)
        if (strncmp(s->pool[i].name, name, sizeof s->pool[i].name) == 0)
            return &s->pool[i];
    if (s->npools == TABLE_POOLS)
        return NULL;
    snprintf(s->pool[s->npools].name, sizeof s->pool[0].name, "%.*s", TABLE_NAME - 1, name);
    return &s->pool[s->npools++];
}

const struct summary_pool *summary_find(const struct summary *s, const char *pool)
{
    for (uint32_t i = 0; i < s->npools; i++)
        if (strcmp(s->pool[i].name, pool) == 0)
            return &s->pool[i];
    return NULL;
}

static void add_queue(struct summary_pool *pool, const struct table *table, int slot)
{
    struct cell_counters counters;

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(table, r)) {
            struct worker_row *row = (struct worker_row *)(uintptr_t)&table->worker[r];

            pool->queued += atomic_load(&row->queued[slot]);
            pool->queued += atomic_load(&row->queued_any[slot]);
        }
    counters_read_backend(table, slot, &counters);
    pool->queue_full += counters.queue_full;
    pool->queue_timeouts += counters.queue_timeouts;
}

/* Requests that wait at a healthy backend may well be long reports: its probation finds out. */
static bool is_trouble(const struct health_row *health)
{
    return health->state != HEALTH_UP &&
           !(health->state == HEALTH_PROBATION && health->cause == CAUSE_SILENT);
}

static void look_at_backend(struct summary *s, const struct table *table, int slot)
{
    struct backend_row b;
    struct admin_row admin;
    struct health_row health;
    struct summary_pool *pool;

    if (!backend_read(&table->backend[slot], &b) || !b.used || !b.configured)
        return;
    if (!admin_read(&table->admin[slot], &admin))
        memset(&admin, 0, sizeof admin);
    if (!health_read(&table->health[slot], &health))
        memset(&health, 0, sizeof health);
    b.pool[sizeof b.pool - 1] = '\0';
    b.name[sizeof b.name - 1] = '\0';
    pool = status_summary_pool_of(s, b.pool);
    s->backends++;
    if (pool) {
        pool->backends++;
        add_queue(pool, table, slot);
    }
    if (pool)
        count_out(pool, &b, &admin, &health);
    if (summary_available(&b, &admin, &health)) {
        if (pool)
            pool->available++;
        s->up += health.state == HEALTH_UP;
    }
    if (admin.heal == RECOVERY_HOLD)
        status_summary_tell(s, SUMMARY_WARN, "attention: backend %s needs a human", b.name);
    else if (admin.override == ADMIN_READY && (admin.heal || is_trouble(&health)))
        status_summary_tell(s, SUMMARY_WARN, "attention: backend %s is %s", b.name,
                            admin.heal ? recovery_state_name(admin.heal)
                                       : health_state_phrase((enum health_state)health.state));
}

/* Adds what a backend counted that has left the configuration: a pool's counters only rise. */
static void add_former(struct summary *s, const struct table *table, int slot)
{
    struct backend_row b;

    if (!backend_read(&table->backend[slot], &b) || !b.used || b.configured)
        return;
    for (uint32_t i = 0; i < s->npools; i++)
        if (strncmp(s->pool[i].name, b.pool, sizeof s->pool[i].name - 1) == 0)
            add_queue(&s->pool[i], table, slot);
}

/* What workers do with a pool without an available backend (worker/proxy/refresh.c). */
static const char *outage_format(const struct summary_pool *pool)
{
    if (pool->out_by_operators == pool->backends)
        return "all backends of pool %s are in maintenance or drained (by operators)";
    if (pool->out == pool->backends)
        return "all backends of pool %s are in maintenance, drained or restarted";
    return pool->draining ? "no backend of pool %s is up and ready: draining backends serve "
                            "instead"
                          : "no healthy backend in pool %s";
}

static void look_at_pools(struct summary *s)
{
    for (uint32_t i = 0; i < s->npools; i++) {
        if (s->pool[i].available > 0)
            continue;
        s->ready = false;
        status_summary_tell(s, SUMMARY_BAD, outage_format(&s->pool[i]), s->pool[i].name);
    }
}

const char *summary_cert(const struct table *table, uint32_t index, const struct cert_row *c,
                         uint64_t now_wall_ms)
{
    uint32_t loaded, workers;

    if (c->source == CERT_NONE || c->generation == 0)
        return c->error[0] ? c->error : "not available yet";
    if (c->trouble && c->note[0][0])
        return c->note[0];
    if (c->not_after_wall_ms <= now_wall_ms)
        return "it has expired";
    if (c->revoked_wall_ms && c->key_known)
        return c->wanted == CERT_FILE ? "its key is compromised: replace key and chain"
                                      : "its key is compromised: it is to be replaced";
    if (c->revoked_wall_ms)
        return "it was revoked: browsers may refuse it";
    if (c->source == CERT_SELF_SIGNED && c->wanted != CERT_SELF_SIGNED)
        return "a self-signed one is served instead";
    if (c->wanted == CERT_FILE && c->source == CERT_FILE && c->error[0])
        return c->error; /* the previous pair stays in use, or this pair has a fault */
    if (c->wanted == CERT_FILE && c->source != CERT_FILE)
        return "another one is served instead of its files";
    cert_loaded(table, index, c->generation, &loaded, &workers);
    return loaded < workers ? "not all workers use it yet" : NULL;
}

static void look_at_certs(struct summary *s, const struct table *table, uint64_t now_wall_ms)
{
    struct cert_row cert;

    for (uint32_t i = 0; i < table_certs(table); i++) {
        const char *why;

        if (!status_cert_read(table, (int)i, &cert))
            continue;
        why = summary_cert(table, i, &cert, now_wall_ms);
        s->revoked |= cert.generation && cert.revoked_wall_ms;
        s->unstored |= cert.trouble == CERT_STORE;
        if (cert.generation == 0 && cert.error[0]) {
            s->ready = false;
            status_summary_tell(s, SUMMARY_BAD, "certificate %.60s: %s", cert.name, why);
        } else if (why)
            status_summary_tell(s, SUMMARY_WARN, "certificate %.120s: %s", cert.name, why);
    }
}

static int status_summary_by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Adds rows, either those with something wrong or the others, as far as there is room. */
static uint32_t status_summary_show(const struct table *table, uint64_t now_wall_ms, bool wrong,
                                    struct summary_certs *to)
{
    struct cert_row cert;
    uint32_t n = 0;

    for (uint32_t i = 0; i < table_certs(table); i++) {
        if (!status_cert_read(table, (int)i, &cert) ||
            (cert.error[0] || summary_cert(table, i, &cert, now_wall_ms)) != wrong)
            continue;
        n++;
        if (to->nshown < SUMMARY_CERTS)
            to->shown[to->nshown++] = i;
    }
    return n;
}

void summary_certs(const struct table *table, uint64_t now_wall_ms, struct summary_certs *to)
{
    uint32_t wrong, all;

    *to = (struct summary_certs){0};
    wrong = status_summary_show(table, now_wall_ms, true, to);
    all = wrong + status_summary_show(table, now_wall_ms, false, to);
    to->left_out = all > SUMMARY_CERTS ? all - SUMMARY_CERTS : 0;
    to->wrong = wrong > SUMMARY_CERTS ? wrong - SUMMARY_CERTS : 0;
    qsort(to->shown, to->nshown, sizeof *to->shown, status_summary_by_number);
}

const char *summary_certs_rest(const struct summary_certs *certs, char out[SUMMARY_TEXT])
{
    out[0] = '\0';
    if (certs->wrong > 0)
        snprintf(out, SUMMARY_TEXT, "%u more, %u of them not as configured", certs->left_out,
                 certs->wrong);
    else if (certs->left_out > 0)
        snprintf(out, SUMMARY_TEXT, "%u more, all as configured", certs->left_out);
    return out;
}

void summary_read(const struct table *table, const struct status_service *service,
                  struct summary *to)
{
    memset(to, 0, sizeof *to);
    to->ready = service->workers_running > 0 && !service->header.stopping;
    for (int slot = 0; slot < TABLE_BACKENDS; slot++)
        look_at_backend(to, table, slot);
    for (int slot = 0; slot < TABLE_BACKENDS; slot++)
        add_former(to, table, slot);
    look_at_pools(to);
    if (header_silent_s(&table->header))
        status_summary_tell(to, SUMMARY_BAD, "the supervisor has not responded for %u s",
                            header_silent_s(&table->header));
    look_at_certs(to, table, service->now_wall_ms);
    if (service->workers_full)
        status_summary_tell(to, SUMMARY_WARN,
                            "new clients wait: all connections are in use (limits.connections, "
                            "or the host's descriptors)");
    if (service->workers_memory)
        status_summary_tell(to, SUMMARY_WARN,
                            "attention: requests were refused with 503 within the last minute: "
                            "clients have used up limits.memory");
    else if (service->workers_bodies)
        status_summary_tell(
            to, SUMMARY_WARN,
            "attention: slow request bodies were ended with 408 within the last "
            "minute: they used up their share of limits.memory");
    if (service->workers_heads)
        status_summary_tell(to, SUMMARY_WARN,
                            "attention: connections without a complete request were ended "
                            "within the last minute: they used up limits.connections or "
                            "limits.memory");
    if (service->header.reload_wall_ms && !service->header.reload_ok)
        status_summary_tell(to, SUMMARY_WARN,
                            "the last reload failed: generation %u stays in use",
                            service->header.config_generation);
    if (!service->workers_running || service->header.stopping) {
        to->tone = SUMMARY_BAD;
        snprintf(to->text, sizeof to->text, "%s",
                 service->header.stopping ? "stopping" : "no worker");
    } else if (!to->text[0]) {
        snprintf(to->text, sizeof to->text, "all well");
    }
}
