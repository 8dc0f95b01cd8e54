/* shm/exchange_ring.h: what workers remember of each backend, and what is told of it. */
#include "shm/exchange_ring.h"

#include <sys/mman.h>

#include "base/clock.h"
#include "t/unit/tap.h"

enum { SLOT = 5, WHO = 77 };

static struct table *t;
static struct recent_row out[EXCHANGE_RING_TOLD];

static void start(int r, uint32_t nslots, uint32_t workers)
{
    struct child_row child = {.kind = KIND_WORKER, .incarnation = 1};

    child_publish(&t->child[r], &child);
    atomic_store(&t->recent_rows[r], TABLE_RECENT);
    exchange_ring_begin(&t->worker[r], nslots, workers, TABLE_RECENT);
    exchange_ring_claim(&t->worker[r], SLOT, WHO);
}

static void add(int r, int slot, uint64_t when)
{
    struct recent_row row = {.end_wall_ms = when, .status = 200, .attempts = 1};

    exchange_ring_path(&row, STR("/web/get"));
    exchange_ring_add(&t->worker[r], slot, &row);
}

static void test_share(void)
{
    is_int(exchange_ring_share(3, 2), 256, "three backends, two workers");
    is_int(exchange_ring_share(3, 1), 256, "one worker: no more than is told");
    is_int(exchange_ring_share(3, 8), 64, "eight workers share the work, and the memory");
    is_int(exchange_ring_share(256, 1), 64, "so many backends: what there is room for");
    is_int(exchange_ring_share(256, 32), 16, "as many workers, too");
    is_int(exchange_ring_share(0, 0), 256, "nothing at all");
    for (uint32_t n = 1; n <= TABLE_BACKENDS; n++)
        for (uint32_t w = 1; w <= 32; w++)
            if (exchange_ring_share(n, w) * n > TABLE_RECENT ||
                exchange_ring_share(n, w) < EXCHANGE_RING_LEAST)
                fail("%u backends, %u workers", n, w);
}

static void test_path(void)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"", ""},
        {"/web/get", "/web/get"},
        {"/web/get?token=secret", "/web/get"},
        {"/web/get;jsessionid=ABC.pas?x", "/web/get"},
        {"?", ""},
    };
    struct recent_row row;
    char long_path[200];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(&row, 'x', sizeof row);
        exchange_ring_path(&row, str_from(cases[i].in));
        is_str(row.path, cases[i].want, "path \"%s\"", cases[i].in);
    }
    memset(long_path, 'p', sizeof long_path);
    memset(&row, 0, sizeof row);
    exchange_ring_path(&row, str_make(long_path, sizeof long_path));
    is_mem(row.path, sizeof row.path, long_path, sizeof row.path, "a long one is cut");
    is_int(sizeof(struct recent), 160, "bytes of a record");
}

static void test_rings(void)
{
    is_int(exchange_ring_read(t, SLOT, WHO, out), 0, "nothing yet");
    start(0, 8, 2);
    start(3, 8, 2);
    for (int i = 0; i < 10; i++)
        add(i % 2 ? 0 : 3, SLOT, 100 + (uint64_t)i);
    add(0, SLOT + 1, 999);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 10, "of two workers");
    bool ordered = true;
    for (int i = 0; i < 10; i++)
        ordered &= out[i].end_wall_ms == 100 + (uint64_t)i;
    ok(ordered, "by time");
    is_str(out[0].path, "/web/get", "with what was written");
    is_int(exchange_ring_read(t, SLOT, WHO + 1, out), 0,
           "another backend that has the slot now: none");
    is_int(exchange_ring_read(t, SLOT + 2, WHO, out), 0, "another slot: none");

    for (int i = 0; i < 1000; i++)
        add(i % 4 ? 0 : 3, SLOT, 1000 + (uint64_t)i);
    is_int(exchange_ring_read(t, SLOT, WHO, out), EXCHANGE_RING_TOLD, "more than are told");
    is_int(out[EXCHANGE_RING_TOLD - 1].end_wall_ms, 1999, "the newest are");
    is_int(out[0].end_wall_ms, 1999 - EXCHANGE_RING_TOLD + 1, "without a gap");
    is_int(exchange_ring_read(t, SLOT + 1, 0, out), 1, "others' records are untouched");
}

/* Records that were never reserved are not read, whatever the worker says of its row. */
static void test_reserved(void)
{
    size_t page = TABLE_PAGE;
    char *from = (char *)&t->worker[4].recent[64], *to = (char *)&t->worker[5];

    start(4, 8, 64);
    is_int(exchange_ring_share(8, 64), 16, "64 workers: 16 records each");
    add(4, SLOT, 1);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 2, "all are reserved: read");
    atomic_store(&t->recent_rows[4], 8 * 16);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 2, "no more than that is reserved: read");
    atomic_store(&t->worker[4].exchange_ring_share, 1024);
    atomic_store(&t->worker[4].recent_ring[SLOT].count, 1024);
    from += (page - (uintptr_t)from % page) % page + page;
    mprotect(from, (size_t)(to - from), PROT_NONE);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 1, "a stray write into its share: not read");
    mprotect(from, (size_t)(to - from), PROT_READ | PROT_WRITE);
}

static void test_lives(void)
{
    exchange_ring_begin(&t->worker[0], 8, 2, TABLE_RECENT);
    exchange_ring_claim(&t->worker[0], SLOT, WHO);
    is_int(exchange_ring_read(t, SLOT, WHO, out), EXCHANGE_RING_TOLD, "a successor keeps them");
    worker_row_reset(&t->worker[0], 2, TABLE_BACKENDS);
    is_int(exchange_ring_read(t, SLOT, WHO, out), EXCHANGE_RING_TOLD,
           "also when it resets its row");
    struct recent *half = &t->worker[0].recent[SLOT * 256 + 7];
    half->row.end_wall_ms = 9999;
    seq_write_begin(&half->seq);
    exchange_ring_read(t, SLOT, WHO, out);
    is_int(out[EXCHANGE_RING_TOLD - 1].end_wall_ms, 1999, "a half-written one is left out");
    for (int i = 0; i < 256; i++)
        add(0, SLOT, 5000 + (uint64_t)i);
    is_int(exchange_ring_read(t, SLOT, WHO, out), EXCHANGE_RING_TOLD,
           "and written anew in its turn");
    is_int(out[0].end_wall_ms, 5000, "all of it");
    exchange_ring_claim(&t->worker[0], SLOT, WHO + 1);
    is_int(exchange_ring_read(t, SLOT, WHO + 1, out), 0, "a new backend begins with none");
    exchange_ring_begin(&t->worker[3], 200, 2, TABLE_RECENT);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 0, "so do all when the shares change");
    add(3, SLOT, 1);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 1, "and go on");
    atomic_store(&t->worker[3].recent_ring[SLOT].count, 9);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 1, "what was another's before is not told");
    test_reserved();
    atomic_store(&t->worker[9].exchange_ring_share, 0);
    add(9, SLOT, 1);
    pass("a worker without shares writes nothing");
}

static void measure(void)
{
    struct recent_row row = {.end_wall_ms = 1};
    uint64_t start_us = clock_mono_us();

    for (int i = 0; i < 1000000; i++) {
        exchange_ring_path(&row, STR("/pas/customer/12345/orders"));
        exchange_ring_add(&t->worker[0], i % 3, &row);
    }
    diag("%.1f ns per record", (double)(clock_mono_us() - start_us) / 1000);
}

int main(void)
{
    t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (t == MAP_FAILED)
        return 1;
    test_share();
    test_path();
    test_rings();
    test_lives();
    measure();
    return done();
}
