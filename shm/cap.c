#include "shm/cap.h"

#include <string.h>

#include "base/check.h"

/* What is counted: a cell of 32 bits, at the same offset in each worker's row. */
typedef size_t cell_at;

static cell_at cell_of_backend(int slot, size_t field)
{
    return offsetof(struct worker_row, be) + (size_t)slot * sizeof(struct worker_backend) +
           field;
}

#define AT_BACKEND(slot, field) cell_of_backend(slot, offsetof(struct worker_backend, field))
/* One of an array of the row: of a pool, or of a backend. */
#define AT(index, field) \
    (offsetof(struct worker_row, field) + (size_t)(index) * sizeof(_Atomic uint32_t))

/* What this process really holds in its row. The cells are written from it and never read back,
 * so that a wrong value there lasts until the next change, or cap_repair(). */
static struct own {
    uint32_t in_flight[TABLE_BACKENDS], probation_requests[TABLE_BACKENDS];
    uint32_t in_flight_all;
    uint32_t retrying[TABLE_POOLS], opening[TABLE_POOLS], expecting[TABLE_POOLS];
} own[TABLE_WORKERS];

static _Atomic uint32_t *cell(const struct table *table, int row, cell_at at)
{
    return (_Atomic uint32_t *)((uintptr_t)&table->worker[row] + at);
}

static uint32_t cap_sum(const struct table *table, const struct cap_rows *live, cell_at at,
                        memory_order order)
{
    uint32_t total = 0;

    for (int i = 0; i < live->n; i++)
        total += atomic_load_explicit(cell(table, live->rows[i], at), order);
    return total;
}

/* Without a cap no process acts on the exact sum: that it is seen after put_all() is enough. */
static void cap_put(_Atomic uint32_t *mine, uint32_t n, bool exact)
{
    atomic_store_explicit(mine, n, exact ? memory_order_seq_cst : memory_order_release);
}

static bool cap_take(struct table *table, const struct cap_rows *live, int row, cell_at at,
                     uint32_t *had, uint32_t cap)
{
    _Atomic uint32_t *mine = cell(table, row, at);

    cap_put(mine, *had + 1, cap);
    if (!cap || cap_sum(table, live, at, memory_order_seq_cst) <= cap) {
        ++*had;
        return true;
    }
    cap_put(mine, *had, cap);
    return false;
}

static void give(struct table *table, int row, cell_at at, uint32_t *had, bool exact)
{
    CHECK(*had > 0);
    cap_put(cell(table, row, at), --*had, exact);
}

static uint64_t sum_word(uint32_t n)
{
    return (uint64_t)~n << 32 | n;
}

static void put_all(struct table *table, int row, uint32_t n)
{
    atomic_store_explicit(&table->worker[row].in_flight_all, sum_word(n), memory_order_release);
}

void cap_forget(struct table *table, int row)
{
    memset(&own[row], 0, sizeof own[row]);
    put_all(table, row, 0);
}

static uint32_t repair(const struct table *table, int row, cell_at at, uint32_t want)
{
    _Atomic uint32_t *mine = cell(table, row, at);

    if (atomic_load_explicit(mine, memory_order_relaxed) == want)
        return 0;
    cap_put(mine, want, true);
    return 1;
}

static uint32_t repair_all(struct table *table, int row)
{
    uint32_t n = own[row].in_flight_all;

    if (atomic_load_explicit(&table->worker[row].in_flight_all, memory_order_relaxed) ==
        sum_word(n))
        return 0;
    put_all(table, row, n);
    return 1;
}

uint32_t cap_repair(struct table *table, int row)
{
    uint32_t n = repair_all(table, row);

    for (int s = 0; s < TABLE_BACKENDS; s++) {
        n += repair(table, row, AT(s, in_flight), own[row].in_flight[s]);
        n += repair(table, row, AT_BACKEND(s, probation_requests),
                    own[row].probation_requests[s]);
    }
    for (int p = 0; p < TABLE_POOLS; p++) {
        n += repair(table, row, AT(p, retrying), own[row].retrying[p]);
        n += repair(table, row, AT(p, opening), own[row].opening[p]);
        n += repair(table, row, AT(p, expecting), own[row].expecting[p]);
    }
    return n;
}

/* A wrong value in one cell must not make a backend look full: no cell counts for more than its
 * worker holds over all. A worker raises its sum before the cell and lowers it after, and it is
 * read after the cell (which is acquired), so that it never hides what is really held. Nor does
 * a wrong sum: that bounds nothing. */
static uint32_t most_of(const struct worker_row *row)
{
    uint64_t word = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&row->in_flight_all,
                                         memory_order_acquire);

    return word == sum_word((uint32_t)word) ? (uint32_t)word : UINT32_MAX;
}

static uint32_t bounded(uint32_t n, const struct worker_row *row)
{
    uint32_t most = most_of(row);

    return n < most ? n : most;
}

static uint32_t sum_in_flight(const struct table *table, const struct cap_rows *live, int slot,
                              memory_order order)
{
    uint32_t total = 0;

    for (int r = 0; r < live->n; r++) {
        _Atomic uint32_t *at = cell(table, live->rows[r], AT(slot, in_flight));

        total += bounded(atomic_load_explicit(at, order), &table->worker[live->rows[r]]);
    }
    return total;
}

uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot)
{
    return sum_in_flight(table, live, slot, memory_order_acquire);
}

void cap_in_flight_each(const struct table *table, const struct cap_rows *live,
                        const uint16_t *slot, uint32_t n, uint32_t *sum)
{
    uint32_t has[TABLE_BACKENDS];

    CHECK(n <= TABLE_BACKENDS);
    memset(sum, 0, n * sizeof *sum);
    for (int r = 0; r < live->n; r++) {
        _Atomic uint32_t *in_flight = cell(table, live->rows[r], AT(0, in_flight));
        uint32_t most;

        for (uint32_t i = 0; i < n; i++)
            has[i] = atomic_load_explicit(&in_flight[slot[i]], memory_order_acquire);
        most = most_of(&table->worker[live->rows[r]]);
        for (uint32_t i = 0; i < n; i++)
            sum[i] += has[i] < most ? has[i] : most;
    }
}

/* Adds cells to sum[n], four at a time, and returns how much that was; UINT64_MAX: one of them
 * is too high to be right. They are read as bytes, because there are no atomic vectors; each is
 * aligned, so its value is a whole one. */
static uint64_t add_cells(const void *cells, size_t n, uint32_t *sum)
{
    typedef uint32_t four __attribute__((vector_size(16)));
    enum { TOO_HIGH = 1 << 24 }; /* 256 cells below it do not overflow */
    four total = {0}, any = {0};
    uint32_t one, rest = 0, high = 0;
    size_t i = 0;

    for (; i + 4 <= n; i += 4) {
        four has, to;

        memcpy(&has, (const char *)cells + i * sizeof one, sizeof has);
        memcpy(&to, &sum[i], sizeof to);
        to += has;
        memcpy(&sum[i], &to, sizeof to);
        total += has;
        any |= has;
    }
    for (; i < n; i++) {
        memcpy(&one, (const char *)cells + i * sizeof one, sizeof one);
        sum[i] += one;
        high |= one;
        rest += one;
    }
    if ((high | any[0] | any[1] | any[2] | any[3]) >= TOO_HIGH)
        return UINT64_MAX;
    return (uint64_t)rest + total[0] + total[1] + total[2] + total[3];
}

bool cap_in_flight_run(const struct table *table, const struct cap_rows *live, int first,
                       uint32_t n, uint32_t *sum)
{
    bool right = true;

    CHECK((uint32_t)first + n <= TABLE_BACKENDS);
    memset(sum, 0, n * sizeof *sum);
    for (int r = 0; r < live->n; r++) {
        uint64_t added = add_cells(cell(table, live->rows[r], AT(first, in_flight)), n, sum);

        atomic_thread_fence(memory_order_acquire); /* the bound is read after the cells */
        right &= added <= most_of(&table->worker[live->rows[r]]);
    }
    return right;
}

uint32_t cap_queued_all(const struct table *table, const struct cap_rows *live, int first)
{
    return cap_sum(table, live, AT(first, queued_all), memory_order_relaxed);
}

uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot)
{
    return cap_sum(table, live, AT(slot, queued), memory_order_relaxed);
}

bool cap_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                 uint32_t cap)
{
    _Atomic uint32_t *at = cell(table, mine, AT(slot, in_flight));
    struct own *had = &own[mine];

    put_all(table, mine, had->in_flight_all + 1);
    cap_put(at, had->in_flight[slot] + 1, cap);
    if (!cap || sum_in_flight(table, live, slot, memory_order_seq_cst) <= cap) {
        had->in_flight[slot]++;
        had->in_flight_all++;
        return true;
    }
    cap_put(at, had->in_flight[slot], cap);
    put_all(table, mine, had->in_flight_all);
    return false;
}

void cap_release(struct table *table, int mine, int slot, uint32_t cap)
{
    give(table, mine, AT(slot, in_flight), &own[mine].in_flight[slot], cap);
    put_all(table, mine, --own[mine].in_flight_all);
}

bool cap_probation_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                           uint32_t most)
{
    return cap_take(table, live, mine, AT_BACKEND(slot, probation_requests),
                    &own[mine].probation_requests[slot], most);
}

void cap_probation_release(struct table *table, int mine, int slot)
{
    give(table, mine, AT_BACKEND(slot, probation_requests), &own[mine].probation_requests[slot],
         true);
}

uint32_t cap_retries(uint32_t in_flight)
{
    uint32_t share = in_flight / CAP_RETRY_SHARE;

    return share > CAP_RETRY_LEAST ? share : CAP_RETRY_LEAST;
}

bool cap_retry_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                       uint32_t most)
{
    return cap_take(table, live, mine, AT(pool, retrying), &own[mine].retrying[pool], most);
}

void cap_retry_release(struct table *table, int mine, int pool)
{
    give(table, mine, AT(pool, retrying), &own[mine].retrying[pool], true);
}

uint32_t cap_expects(uint32_t cap)
{
    uint32_t share = cap / CAP_EXPECT_SHARE;

    if (!cap)
        return CAP_EXPECT_NO_CAP;
    return share ? share : cap > 1;
}

bool cap_expect_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                        uint32_t most)
{
    return most &&
           cap_take(table, live, mine, AT(pool, expecting), &own[mine].expecting[pool], most);
}

void cap_expect_release(struct table *table, int mine, int pool)
{
    give(table, mine, AT(pool, expecting), &own[mine].expecting[pool], true);
}

bool cap_opening_acquire(struct table *table, const struct cap_rows *live, int mine, int pool)
{
    return cap_take(table, live, mine, AT(pool, opening), &own[mine].opening[pool], 1);
}

void cap_opening_release(struct table *table, int mine, int pool)
{
    give(table, mine, AT(pool, opening), &own[mine].opening[pool], true);
}
