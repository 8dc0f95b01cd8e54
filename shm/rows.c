/* Reading and publishing the rows of the table, one pair per kind of row. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "shm/table.h"

#define TABLE_ROW_IMPL(thing)                                              \
    bool thing##_read(const struct thing *at, struct thing##_row *to)      \
    {                                                                      \
        return seq_read(&at->seq, to, &at->row, sizeof *to);               \
    }                                                                      \
    void thing##_publish(struct thing *at, const struct thing##_row *from) \
    {                                                                      \
        seq_write_begin(&at->seq);                                         \
        memcpy(&at->row, from, sizeof *from);                              \
        seq_write_end(&at->seq);                                           \
    }

TABLE_ROW_IMPL(header)
TABLE_ROW_IMPL(backend)
TABLE_ROW_IMPL(admin)
TABLE_ROW_IMPL(child)
TABLE_ROW_IMPL(health)
TABLE_ROW_IMPL(cert)
TABLE_ROW_IMPL(challenge)

static void add(struct history *history, const struct transition *transition, const char *actor,
                const char *reason)
{
    struct transition *at = &history->ring[history->count % TABLE_HISTORY];

    seq_write_begin(&history->seq);
    *at = *transition;
    at->wall_ms = clock_wall_ms();
    snprintf(at->actor, sizeof at->actor, "%s", actor);
    snprintf(at->reason, sizeof at->reason, "%s", reason);
    history->count++;
    seq_write_end(&history->seq);
}

void history_add(struct history *history, uint8_t from, uint8_t to, const char *actor,
                 const char *reason)
{
    add(history, &(struct transition){.from = from, .to = to}, actor, reason);
}

void history_add_heal(struct history *history, enum heal_state from, enum heal_state to,
                      const char *actor, const char *reason)
{
    struct transition t = {.from = (uint8_t)from, .to = (uint8_t)to, .heal = 1};

    add(history, &t, actor, reason);
}

/* The last n of the ring, or as many as there are. */
static int copy_last(const struct history *copy, uint32_t n,
                     struct transition out[TABLE_HISTORY])
{
    uint32_t kept = copy->count < TABLE_HISTORY ? copy->count : TABLE_HISTORY;

    n = n < kept ? n : kept;
    for (uint32_t i = 0; i < n; i++)
        out[i] = copy->ring[(copy->count - n + i) % TABLE_HISTORY];
    return (int)n;
}

int history_read(const struct history *history, struct transition out[TABLE_HISTORY])
{
    struct history copy;

    if (!seq_read(&history->seq, &copy, history, sizeof copy))
        return 0;
    return copy_last(&copy, TABLE_HISTORY, out);
}

int history_read_new(const struct history *history, uint32_t *seen,
                     struct transition out[TABLE_HISTORY])
{
    struct history copy;
    uint32_t before = *seen;

    if (!seq_read(&history->seq, &copy, history, sizeof copy))
        return 0;
    *seen = copy.count;
    return before == UINT32_MAX ? 0 : copy_last(&copy, copy.count - before, out);
}

static const char *name_of(const char *const names[], unsigned n, unsigned i)
{
    return i < n ? names[i] : "?";
}

#define NAMES(...)                                    \
    static const char *const names[] = {__VA_ARGS__}; \
    return name_of(names, sizeof names / sizeof *names, (unsigned)at)

const char *kind_name(enum kind at)
{
    NAMES("supervisor", "worker", "healthd", "acmed", "restarter");
}

const char *health_state_name(enum health_state at)
{
    NAMES("unknown", "up", "saturated", "suspect", "down");
}

const char *admin_state_name(enum admin_state at)
{
    NAMES("ready", "drain", "maint", "drained");
}

const char *heal_state_name(enum heal_state at)
{
    NAMES("none", "draining", "restarting", "verifying", "slowstart", "hold");
}

const char *child_state_name(enum child_state at)
{
    NAMES("empty", "starting", "running", "draining", "backoff", "held");
}
