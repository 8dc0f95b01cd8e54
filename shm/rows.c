/* Reading and publishing the rows of the table, one pair per kind of row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "shm/table.h"

/* A text copied out of shared memory ends where its array ends, whatever its writer did:
 * readers treat it as a string. */
#define CLOSE(array) ((array)[sizeof(array) - 1] = '\0')

static void close_header(struct header_row *row)
{
    CLOSE(row->reload_error);
    CLOSE(row->version);
    CLOSE(row->config_file);
}

static void close_backend(struct backend_row *row)
{
    CLOSE(row->name);
    CLOSE(row->pool);
    CLOSE(row->host);
}

static void close_admin(struct admin_row *row)
{
    CLOSE(row->who);
    CLOSE(row->reason);
    CLOSE(row->recovery_reason);
    CLOSE(row->reply);
    CLOSE(row->incident);
}

static void close_child(struct child_row *row)
{
    (void)row; /* has no text */
}

static void close_health(struct health_row *row)
{
    CLOSE(row->reason);
    CLOSE(row->probe_text);
}

static void close_cert(struct cert_row *row)
{
    CLOSE(row->name);
    CLOSE(row->issuer);
    CLOSE(row->key);
    CLOSE(row->error);
    CLOSE(row->reply);
    CLOSE(row->doing);
    for (int i = 0; i < TABLE_NOTES; i++)
        CLOSE(row->note[i]);
}

static void close_challenge(struct challenge_row *row)
{
    CLOSE(row->token);
    CLOSE(row->key_authorization);
    CLOSE(row->name);
}

/* What this process has published: a copy of each such row. */
struct mirror {
    struct mirror *next;
    struct seq *seq;
    void *row;
    size_t size;
    const char *kind;
    _Alignas(8) unsigned char copy[];
};

enum { MIRROR_BUCKETS = 1024 };

static struct mirror *mirrors[MIRROR_BUCKETS];

static struct mirror **bucket_of(const struct seq *seq)
{
    return &mirrors[(uintptr_t)seq / 64 % MIRROR_BUCKETS];
}

static struct mirror *rows_find(const struct seq *seq)
{
    struct mirror *m = *bucket_of(seq);

    while (m && m->seq != seq)
        m = m->next;
    return m;
}

static void write_row(struct seq *seq, void *row, const void *from, size_t size)
{
    seq_write_begin(seq);
    memcpy(row, from, size);
    seq_write_end(seq);
}

static void keep(struct seq *seq, void *row, const void *from, size_t size, const char *kind)
{
    struct mirror *m = rows_find(seq), **bucket = bucket_of(seq);

    if (!m) {
        m = malloc(sizeof *m + size);
        if (m) { /* otherwise this row is not repaired */
            *m = (struct mirror){
                .next = *bucket, .seq = seq, .row = row, .size = size, .kind = kind};
            *bucket = m;
        }
    }
    if (m && from != m->copy)
        memcpy(m->copy, from, size);
}

static void publish(struct seq *seq, void *row, const void *from, size_t size, const char *kind)
{
    keep(seq, row, from, size, kind);
    write_row(seq, row, from, size);
}

#define KEEP(thing, i)                                                               \
    keep(&table->thing[i].seq, &table->thing[i].row, &(const struct thing##_row){0}, \
         sizeof(struct thing##_row), #thing)

void rows_keep(struct table *table)
{
    for (int i = 0; i < TABLE_BACKENDS; i++) {
        KEEP(backend, i);
        KEEP(admin, i);
    }
    for (int i = 0; i < TABLE_CHILDREN; i++)
        KEEP(child, i);
}

#define ADOPT(thing, i) \
    keep(&table->thing.seq, &table->thing.row, &table->thing.row, sizeof table->thing.row, i)

void rows_adopt(struct table *table)
{
    ADOPT(header, "header");
    for (int i = 0; i < TABLE_BACKENDS; i++) {
        ADOPT(backend[i], "backend");
        ADOPT(admin[i], "admin");
    }
    for (int i = 0; i < TABLE_CHILDREN; i++)
        ADOPT(child[i], "child");
}

uint32_t rows_repair(void)
{
    static struct log_gate gate;
    const char *kind = "";
    uint32_t n = 0;

    for (int i = 0; i < MIRROR_BUCKETS; i++)
        for (struct mirror *m = mirrors[i]; m; m = m->next) {
            /* An odd counter is wrong too: the row would be unreadable. */
            if (!(atomic_load(&m->seq->n) & 1) && memcmp(m->row, m->copy, m->size) == 0)
                continue;
            write_row(m->seq, m->row, m->copy, m->size);
            if (n++ == 0)
                kind = m->kind;
        }
    if (n > 0 && log_gate_open(&gate))
        log_error("rows of the table overwritten by something else: %u, the first %s; repaired",
                  n, kind);
    return n;
}

void rows_forget(void)
{
    for (int i = 0; i < MIRROR_BUCKETS; i++)
        while (mirrors[i]) {
            struct mirror *m = mirrors[i];

            mirrors[i] = m->next;
            free(m);
        }
}

#define TABLE_ROW_IMPL(thing)                                                    \
    bool thing##_read(const struct thing *at, struct thing##_row *to)            \
    {                                                                            \
        bool whole = seq_read(&at->seq, to, &at->row, sizeof *to);               \
                                                                                 \
        close_##thing(to);                                                       \
        return whole;                                                            \
    }                                                                            \
    void thing##_publish(struct thing *at, const struct thing##_row *from)       \
    {                                                                            \
        publish(&at->seq, &at->row, from, sizeof *from, #thing);                 \
    }                                                                            \
    const struct thing##_row *thing##_own(const struct thing *at)                \
    {                                                                            \
        const struct mirror *m = rows_find(&at->seq);                            \
                                                                                 \
        return m ? (const struct thing##_row *)(const void *)m->copy : &at->row; \
    }

TABLE_ROW_IMPL(header)
TABLE_ROW_IMPL(backend)
TABLE_ROW_IMPL(admin)
TABLE_ROW_IMPL(child)
TABLE_ROW_IMPL(health)
TABLE_ROW_IMPL(cert)
TABLE_ROW_IMPL(challenge)

unsigned header_silent_s(const struct header *header)
{
    uint64_t now = clock_mono_ms(), last = count_read(&header->heartbeat_ms);

    return last && now > last + TABLE_SILENT_MS ? (unsigned)((now - last) / 1000) : 0;
}

static void rows_add(struct history *history, const struct transition *transition,
                     const char *actor, const char *reason)
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

void history_mend(struct history *history)
{
    if (atomic_load(&history->seq.n) & 1)
        seq_write_end(&history->seq);
}

void history_add(struct history *history, uint8_t from, uint8_t to, const char *actor,
                 const char *reason)
{
    rows_add(history, &(struct transition){.from = from, .to = to}, actor, reason);
}

void history_add_recovery(struct history *history, enum recovery_state from,
                          enum recovery_state to, const char *actor, const char *reason)
{
    struct transition t = {.from = (uint8_t)from, .to = (uint8_t)to, .heal = 1};

    rows_add(history, &t, actor, reason);
}

/* The last n of the ring, or as many as there are. */
static int copy_last(const struct history *copy, uint32_t n,
                     struct transition out[TABLE_HISTORY])
{
    uint32_t kept = copy->count < TABLE_HISTORY ? copy->count : TABLE_HISTORY;

    n = n < kept ? n : kept;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = copy->ring[(copy->count - n + i) % TABLE_HISTORY];
        CLOSE(out[i].actor);
        CLOSE(out[i].reason);
    }
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
    NAMES("unknown", "up", "degraded", "suspect", "probation", "ejected", "down");
}

const char *health_state_phrase(enum health_state at)
{
    return at == HEALTH_PROBATION ? "on probation" : health_state_name(at);
}

const char *admin_state_name(enum admin_state at)
{
    NAMES("ready", "drain", "maint", "drained");
}

const char *recovery_state_name(enum recovery_state at)
{
    NAMES("none", "draining", "restarting", "verifying", "slowstart", "hold");
}

const char *child_state_name(enum child_state at)
{
    NAMES("empty", "starting", "running", "draining", "backoff", "held");
}
