/* The table: one POSIX shared-memory object through which all processes of one pasgate see each
 * other.
 *
 * Rules. Fixed capacities, no pointers, no locks. Every row has exactly one writer, named
 * beside it; rows are grouped by writer on page boundaries, so that table_seal() can make all
 * other pages read-only in each process. Rows of several fields carry a sequence counter
 * (shm/seq.h): fill them with X_publish(), take a copy with X_read(). Counters are single
 * atomics, stored by their one writer with plain additions (count_add). The supervisor never
 * uses anything from a row that a child writes as an index, pid or pointer.
 *
 * Text is always NUL-terminated within its array; X_read() and history_read() make sure of that
 * in their copy, whatever the writer did. Times are milliseconds: `_ms` monotonic
 * (base/clock.h), `_wall_ms` since 1970. */
#ifndef SHM_TABLE_H
#define SHM_TABLE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/layout.h"
#include "shm/layout_acmed.h"
#include "shm/layout_healthd.h"
#include "shm/layout_supervisor.h"
#include "shm/layout_worker.h"
#include "shm/seq.h"

struct table {
    TABLE_PAGED struct header header;             /* supervisor */
    struct backend backend[TABLE_BACKENDS];       /* supervisor */
    struct admin admin[TABLE_BACKENDS];           /* supervisor */
    struct child child[TABLE_CHILDREN];           /* supervisor */
    struct history admin_history[TABLE_BACKENDS]; /* supervisor */
    struct retired retired;                       /* supervisor */
    _Atomic uint64_t supervisor_log_lost;         /* supervisor: lost log lines */
    /* supervisor: usable rows of cert and challenge (table_reserve_certs()). */
    _Atomic uint32_t cert_rows, challenge_rows;
    /* supervisor: usable parts of each worker row's session[] and recent[]
     * (table_reserve_row()). Readers go by this, not by what the worker wrote. */
    _Atomic uint32_t session_words[TABLE_WORKERS], recent_rows[TABLE_WORKERS];
    TABLE_PAGED struct health health[TABLE_BACKENDS]; /* healthd */
    struct history health_history[TABLE_BACKENDS];    /* healthd */
    _Atomic uint64_t healthd_heartbeat_ms;            /* healthd */
    _Atomic uint64_t healthd_log_lost;                /* healthd */
    _Atomic uint32_t healthd_sandbox;                 /* healthd: enum sandbox_bits */
    TABLE_PAGED _Atomic uint64_t acmed_heartbeat_ms;  /* acmed */
    _Atomic uint64_t acmed_log_lost;                  /* acmed */
    _Atomic uint32_t acmed_sandbox;                   /* acmed: enum sandbox_bits */
    _Atomic uint32_t cert_epoch; /* acmed: raised at each change of cert[] */
    /* acmed: the hash by which the challenge of that row is found (shm/challenges.h); 0:
     * free. */
    _Atomic uint32_t challenge_key[TABLE_CHALLENGES];
    struct cert cert[TABLE_CERTS];                /* acmed */
    struct challenge challenge[TABLE_CHALLENGES]; /* acmed */
    struct worker_row worker[TABLE_WORKERS];      /* worker i writes row i */
};

/* Makes the object anew (shm/object.h) and maps it writable. name: "/pasgate-..." for shm_open.
 * Supervisor only. NULL with errno.
 *
 * A page of shared memory for which the host has no room is a SIGBUS for whoever touches it
 * first. So pages are reserved, where a lack of room is an error: here, all below `cert`
 * (TABLE_FIXED bytes); for certificates and their challenges as many rows as the configuration
 * needs, by table_reserve_certs(); for each worker row before its first process, by
 * table_reserve_row(). No process reads a row that was never reserved: see table_certs(),
 * table_row_used(). */
struct object;
struct table *table_create(struct object *object, const char *name);

/* What has been reserved so far, for the process that goes on with the table. */
struct table_room_taken {
    size_t row[TABLE_WORKERS];
    uint32_t certs, challenges;
};
void table_room_take(struct table_room_taken *to);
/* Supervisor, after an exec: maps the table of an object that it holds already. NULL with
 * errno; EPROTO when it has another layout. */
struct table *table_adopt(const struct object *object, const struct table_room_taken *taken);

enum { TABLE_FIXED = offsetof(struct table, cert) };

/* Supervisor: makes at least this many rows of cert[] and challenge[] usable; a later call
 * never takes any away. 0; -1 with errno: ENOSPC or ENOMEM. */
int table_reserve_certs(struct table *table, uint32_t certs, uint32_t challenges);
/* Bytes that table_reserve_certs() would still take. */
size_t table_certs_missing(uint32_t certs, uint32_t challenges);
/* Supervisor, once a second: writes the numbers of usable rows, words and records again, in
 * case of a stray write. */
void table_repair_certs(struct table *table);

/* What of a worker row is optional. */
struct row_room {
    uint32_t session_words; /* of each set of sessions; 0, or a power of two */
    uint32_t records;       /* of recent[]; 0 unless all words are there */
};

/* Takes one step towards less: first half of the records, then half of the words. false: there
 * is nothing left to take. */
bool table_room_shrink(struct row_room *room);

/* Bytes of a worker row with that room, in whole pages. */
size_t table_row_size(struct row_room room);

/* Supervisor: bytes that table_reserve_row() would still take. */
size_t table_row_missing(int row, struct row_room room);
/* Makes at least that much of a worker row usable, in the table that table_create() made; not
 * while the row has a process. 0; -1 with errno: ENOSPC or ENOMEM. What is reserved stays
 * reserved until the end. */
int table_reserve_row(int row, struct row_room room);
/* Free bytes where the object is; UINT64_MAX: no known limit. */
uint64_t table_room(void);

/* Maps the table of an object that is open for reading: `pasgate status`. NULL with errno;
 * EPROTO when it has another layout version. */
const struct table *table_map(int fd);
void table_close(const struct table *table);

/* Writes the name of the object for a pidfile path ("/pasgate-" and a hash), so that several
 * services on one host do not collide. */
enum { TABLE_OBJECT_NAME = 40 };
char *table_object_name(char out[TABLE_OBJECT_NAME], const char *pidfile);

/* Maps every page that this process must not write from a descriptor that is open for reading
 * only, so that no mprotect() makes it writable again. row: of a worker. Called once in each
 * child, before its descriptors of the object are closed. 0, or -1 with errno. */
int table_seal(struct table *table, enum kind kind, int row);

/* read: false: half-written, keep the last copy. Texts of the copy end within their arrays.
 * publish: for the only writer; keeps a copy, so that rows_repair() finds stray writes. own:
 * that copy (before the first publish the row itself), from which a writer reads its own
 * row. */
#define TABLE_ROW(thing)                                                  \
    bool thing##_read(const struct thing *, struct thing##_row *to);      \
    void thing##_publish(struct thing *, const struct thing##_row *from); \
    const struct thing##_row *thing##_own(const struct thing *);

TABLE_ROW(header)
TABLE_ROW(backend)
TABLE_ROW(admin)
TABLE_ROW(child)
TABLE_ROW(health)
TABLE_ROW(cert)
TABLE_ROW(challenge)

/* Supervisor, with a new table: rows_repair() then also covers its rows that were never
 * published, where a stray write would look like a backend or process that does not exist. */
void rows_keep(struct table *table);
/* The same for a table that this process has adopted: the supervisor's rows are as they should
 * be, because no other process can write them. */
void rows_adopt(struct table *table);
/* Compares all rows that this process has published with its copies, and rewrites those that
 * differ; returns how many, and logs it. Once a second. */
uint32_t rows_repair(void);
/* Forgets the copies, in a child after fork: they belong to its parent. */
void rows_forget(void);

/* For a new writer: one that was killed half-way left the counter odd. The ring is complete but
 * for the entry that was never counted. */
void history_mend(struct history *history);
void history_add(struct history *history, uint8_t from, uint8_t to, const char *actor,
                 const char *reason);
void history_add_recovery(struct history *history, enum recovery_state from,
                          enum recovery_state to, const char *actor, const char *reason);
/* Copies the ring, oldest first; returns how many. Also 0 when it is half-written. */
int history_read(const struct history *history, struct transition out[TABLE_HISTORY]);
/* Copies only the transitions after *seen, and updates *seen. UINT32_MAX: only sets it. */
int history_read_new(const struct history *history, uint32_t *seen,
                     struct transition out[TABLE_HISTORY]);

/* Clears a worker row for a new process, except APSV handles, sessions and last exchanges, and
 * claims it under its incarnation. Called by that worker; its cells count from then on. */
void worker_row_reset(struct worker_row *row, uint32_t incarnation, uint32_t nbackends);

/* Counters with one writer: no locked instruction is needed. */
static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void count_sub(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline uint64_t count_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* Has row r ever had a process? The pages of other rows do not exist. */
static inline bool table_row_used(const struct table *table, int r)
{
    return __atomic_load_n(&table->child[r].row.incarnation, __ATOMIC_ACQUIRE) != 0;
}

/* Number of rows of cert[] and of challenge[] that may be read. */
static inline uint32_t table_certs(const struct table *table)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->cert_rows);

    return n < TABLE_CERTS ? n : TABLE_CERTS;
}

static inline uint32_t table_challenges(const struct table *table)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->challenge_rows);

    return n < TABLE_CHALLENGES ? n : TABLE_CHALLENGES;
}

/* Words of row r's sets of sessions that may be used: 0, or a power of two. */
static inline uint32_t table_session_words(const struct table *table, int r)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->session_words[r]);

    return n < TABLE_SESSION_WORDS ? n : TABLE_SESSION_WORDS;
}

/* Is row r the row of a live worker (starting, running or draining), whose cells therefore
 * count? The cells of a dead worker do not. */
bool worker_row_live(const struct table *table, int r);

/* Load of a backend slot: the sum over all live workers. */
uint32_t backend_in_flight(const struct table *table, int slot);
uint32_t backend_queued(const struct table *table, int slot);

/* The bucket of a latency: floor(log2(us)); the last bucket is open. */
static inline int latency_bucket(uint64_t us)
{
    int b = us ? 63 - __builtin_clzll(us) : 0;

    return b < TABLE_LATENCY ? b : TABLE_LATENCY - 1;
}

#endif
