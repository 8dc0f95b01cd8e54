/* Who gets a slot that became free: the queues, with exchanges that are only scripted. */
#include <string.h>
#include <sys/mman.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/backends.h"
#include "worker/core.h"
#include "worker/exchange.h"

enum { BACKENDS = 2, SIZE = 2, EXCHANGES = 8 };

static struct conf_backend conf_backend[BACKENDS] = {{.name = "pas1"}, {.name = "pas2"}};
static struct conf_pool conf_pool = {.name = "pas", .queue = {.size = SIZE, .timeout_ms = 100}};
static struct conf conf = {.n_pools = 1};
static struct heritage heritage;
static struct worker worker;
static struct pool_view pool;
static struct backend_view pas[BACKENDS];
static uint16_t slot_of[BACKENDS] = {0, 1};
static struct exchange x[EXCHANGES];

/* The script: how many slots are free, for exchanges that may go anywhere or to one backend. */
static int free_slots;
static const struct backend_view *only; /* the backend that has them; NULL: any */
static char order[EXCHANGES + 1];

static bool scripted(struct exchange *e)
{
    if (free_slots == 0 || (only && e->home && e->home != only))
        return false;
    free_slots--;
    order[strlen(order)] = (char)('a' + (e - x));
    backends_queue_leave(&worker, &pool, e);
    /* It ends at once and gives its slot back, which wakes others from within. */
    if (e->streamed) {
        free_slots++;
        backends_wake(&worker, &pool);
    }
    return true;
}

static void afresh(void)
{
    memset(x, 0, sizeof x);
    memset(order, 0, sizeof order);
    memset(worker.row, 0, sizeof *worker.row);
    free_slots = 0;
    only = NULL;
    pool = (struct pool_view){.worker = &worker,
                              .conf = &conf_pool,
                              .backends = pas,
                              .slots = slot_of,
                              .nbackends = BACKENDS};
    for (int i = 0; i < BACKENDS; i++)
        pas[i] = (struct backend_view){
            .conf = &conf_backend[i], .pool = &pool, .slot = i, .cell = &worker.row->be[i]};
}

static bool join(int i, struct backend_view *home)
{
    x[i].pool = &pool;
    x[i].home = home;
    worker.loop.now_ms++;
    return backends_queue_join(&worker, &pool, &x[i]);
}

static void wake(int slots)
{
    free_slots = slots;
    backends_wake(&worker, &pool);
}

static void test_order(void)
{
    afresh();
    ok(join(0, NULL) && join(1, &pas[1]) && join(2, NULL), "three wait");
    is_int(atomic_load(&worker.row->queued_any[0]), 2,
           "two for any backend, as the table says");
    is_int(atomic_load(&worker.row->queued[1]), 1, "one for its own");
    wake(0);
    is_str(order, "", "no slot: nobody moves");
    is_int(pool.nwaiting, 3, "  and all still wait");
    wake(1);
    is_str(order, "a", "one slot: the oldest gets it");
    wake(5);
    is_str(order, "abc", "the others in their order, over all queues");
    is_int(pool.nwaiting, 0, "nobody waits");
    is_int(atomic_load(&worker.row->queued_any[0]) + atomic_load(&worker.row->queued[1]), 0,
           "as the table says");
}

static void test_stuck(void)
{
    afresh();
    join(0, &pas[0]);
    join(1, NULL);
    join(2, &pas[1]);
    only = &pas[1];
    wake(2);
    is_str(order, "bc", "one that waits for a full backend does not hold up the others");
    is_int(x[0].queue == &pas[0].waiters, 1, "  and keeps its turn");
}

static void test_within(void)
{
    afresh();
    for (int i = 0; i < 4; i++) {
        x[i].streamed = true;
        join(i, NULL);
    }
    wake(1);
    is_str(order, "abcd", "a slot that comes back at once goes to the next, without recursion");
    ok(!pool.waking, "  and that is over");
}

static void test_full(void)
{
    int n = 0;

    afresh();
    while (n < EXCHANGES && join(n, NULL))
        n++;
    is_int(n, SIZE * BACKENDS, "queue.size for each backend of the pool");
    x[n].resent = true;
    ok(join(n, NULL), "one that had a slot before was admitted already");
    is_int(x[n].queue == &pool.retriers, 1, "  and waits for the retry budget");
    afresh();
    ok(join(0, &pas[0]) && join(1, &pas[0]) && !join(2, &pas[0]),
       "one backend fills its share");
    ok(join(3, &pas[1]) && join(4, NULL) && !join(5, NULL), "  others the rest");
}

static void test_closed(void)
{
    afresh();
    join(0, NULL);
    join(1, &pas[1]);
    backends_queue_close(&worker);
    wake(2);
    is_str(order, "", "at the end of the worker nobody gets a slot any more");
    is_int(pool.nwaiting, 2, "  they wait until they are cut");
}

static void test_repair(void)
{
    afresh();
    join(0, NULL);
    join(1, &pas[1]);
    is_int(backends_queue_repair(&worker, &pool), 0, "the table is right");
    atomic_store(&worker.row->queued[1], 7);
    atomic_store(&worker.row->queued_any[0], 9);
    is_int(backends_queue_repair(&worker, &pool), 2, "two wrong figures are found");
    is_int(atomic_load(&worker.row->queued[1]), 1, "  and set right");
    is_int(backends_queue_repair(&worker, &pool), 0, "  for good");
}

int main(void)
{
    struct table *table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (table == MAP_FAILED)
        return 1;
    worker.table = table;
    worker.row = &table->worker[0];
    worker.heritage = &heritage;
    worker.conf = &conf;
    worker.pools = &pool;
    worker.retry_queued = scripted;
    worker.live = (struct cap_rows){.n = 1};
    worker.loop.now_ms = 1000;
    test_order();
    test_stuck();
    test_within();
    test_full();
    test_closed();
    test_repair();
    return done();
}
