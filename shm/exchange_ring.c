#include "shm/exchange_ring.h"

#include <string.h>

#include "base/check.h"

uint32_t exchange_ring_share(uint32_t nslots, uint32_t workers)
{
    uint32_t room = TABLE_RECENT / (nslots ? nslots : 1);
    uint32_t want = EXCHANGE_RING_RECORDS / (workers ? workers : 1);

    if (want < EXCHANGE_RING_LEAST)
        want = EXCHANGE_RING_LEAST;
    if (want > EXCHANGE_RING_TOLD)
        want = EXCHANGE_RING_TOLD;
    return want < room ? want : room;
}

_Static_assert(TABLE_RECENT / TABLE_BACKENDS >= EXCHANGE_RING_LEAST,
               "a share for each backend");

uint32_t exchange_ring_records(uint32_t nslots, uint32_t workers)
{
    return exchange_ring_share(nslots, workers) * nslots;
}

void exchange_ring_begin(struct worker_row *mine, uint32_t nslots, uint32_t workers,
                         uint32_t room)
{
    uint32_t share = exchange_ring_share(nslots, workers), fits = room / (nslots ? nslots : 1);

    CHECK(nslots <= TABLE_BACKENDS && room <= TABLE_RECENT);
    if (share > fits)
        share = fits;
    if (atomic_load(&mine->exchange_ring_share) == share)
        return;
    /* With another share every ring begins at another place. */
    atomic_store(&mine->exchange_ring_share, 0);
    for (int i = 0; i < TABLE_BACKENDS; i++)
        atomic_store(&mine->recent_ring[i].count, 0);
    atomic_store(&mine->exchange_ring_share, share);
}

void exchange_ring_claim(struct worker_row *mine, int slot, uint64_t identity)
{
    struct recent_ring *ring = &mine->recent_ring[slot];

    if (atomic_load(&ring->identity) == identity)
        return;
    atomic_store(&ring->count, 0);
    atomic_store(&ring->identity, identity);
}

void exchange_ring_path(struct recent_row *to, struct str path)
{
    path = str_head(path, sizeof to->path);
    path = str_head(path, str_index(path, ';'));
    path = str_head(path, str_index(path, '?'));
    if (path.n)
        memcpy(to->path, path.p, path.n);
    if (path.n < sizeof to->path)
        to->path[path.n] = '\0';
}

void exchange_ring_add(struct worker_row *mine, int slot, const struct recent_row *row)
{
    struct recent_ring *ring = &mine->recent_ring[slot];
    uint32_t share = atomic_load_explicit(&mine->exchange_ring_share, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&ring->count, memory_order_relaxed);
    size_t at = (size_t)slot * share + (size_t)(count % (share ? share : 1));

    if (share == 0 || at >= TABLE_RECENT)
        return;
    seq_write_begin(&mine->recent[at].seq);
    mine->recent[at].row = *row;
    mine->recent[at].row.slot = (uint16_t)slot;
    seq_write_end(&mine->recent[at].seq);
    atomic_store_explicit(&ring->count, count + 1, memory_order_release);
}

/* Inserts one record by time; the oldest is dropped if there is no room. */
static int insert(struct recent_row out[EXCHANGE_RING_TOLD], int n,
                  const struct recent_row *row)
{
    int at = n;

    while (at > 0 && out[at - 1].end_wall_ms > row->end_wall_ms)
        at--;
    if (n < EXCHANGE_RING_TOLD) {
        memmove(&out[at + 1], &out[at], (size_t)(n - at) * sizeof *out);
        out[at] = *row;
        return n + 1;
    }
    if (at > 0) {
        memmove(&out[0], &out[1], (size_t)(at - 1) * sizeof *out);
        out[at - 1] = *row;
    }
    return n;
}

/* usable: records of this row that are reserved. What the worker says of its own row is not
 * trusted: a page that was never reserved is a SIGBUS if /dev/shm is full. */
static int add_worker(const struct worker_row *worker, uint32_t usable, int slot,
                      uint64_t identity, struct recent_row out[EXCHANGE_RING_TOLD], int n)
{
    struct worker_row *w = (struct worker_row *)(uintptr_t)worker;
    uint32_t share = atomic_load(&w->exchange_ring_share);
    uint64_t count = atomic_load(&w->recent_ring[slot].count);

    if (atomic_load(&w->recent_ring[slot].identity) != identity ||
        ((size_t)slot + 1) * share > usable)
        return n;
    for (uint64_t i = 0; i < count && i < share; i++) {
        const struct recent *from = &w->recent[(size_t)slot * share + i];
        struct recent_row row;

        if (seq_read(&from->seq, &row, &from->row, sizeof row) && row.slot == slot)
            n = insert(out, n, &row);
    }
    return n;
}

int exchange_ring_read(const struct table *table, int slot, uint64_t identity,
                       struct recent_row out[EXCHANGE_RING_TOLD])
{
    struct table *t = (struct table *)(uintptr_t)table;
    int n = 0;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        uint32_t usable = atomic_load(&t->recent_rows[r]);

        if (table_row_used(table, r))
            n = add_worker(&table->worker[r], usable < TABLE_RECENT ? usable : TABLE_RECENT,
                           slot, identity, out, n);
    }
    return n;
}
