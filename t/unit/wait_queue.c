/* Who gets a slot that became free: the queues, with exchanges that are only scripted. */
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "shm/cap.h"
#include "shm/heritage.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"

enum { BACKENDS = 2, SIZE = 2, EXCHANGES = 8 };

static struct conf_backend conf_backend[BACKENDS] = {{.name = "pas1"}, {.name = "pas2"}};
static struct conf_pool conf_pool = {.name = "pas", .queue = {.size = SIZE, .timeout_ms = 100}};
static struct conf conf = {.n_pools = 1};
static struct heritage heritage;
static struct worker worker;
static struct pool_view pool;
static struct backend_view pas[BACKENDS];
static uint16_t slot_of[BACKENDS] = {0, 1};
static uint32_t in_flight[BACKENDS];
static struct {
    struct waiter waiter;
    const struct backend_view *affinity;
    bool resent;
    bool is_short; /* ends at once, when it has its slot */
} x[EXCHANGES];

/* The script: how many slots are free, for exchanges that may go anywhere or to one backend. */
static int free_slots;
static const struct backend_view *only; /* the backend that has them; NULL: any */
static char order[EXCHANGES + 1];
static bool runs;  /* one of them is at work: nobody else may be called */
static int within; /* how often one was, all the same */

static bool scripted(struct waiter *waiter)
{
    int i = 0;

    while (&x[i].waiter != waiter)
        i++;
    within += runs;
    if (free_slots == 0 || (only && x[i].affinity && x[i].affinity != only))
        return false;
    runs = true;
    free_slots--;
    order[strlen(order)] = (char)('a' + i);
    wait_queue_leave(&worker, &pool, waiter);
    if (pool.offered) /* as backends_choose_queued() does, which takes that one */
        in_flight[pool.offered - pas]++;
    if (x[i].is_short) { /* it ends at once and gives its slot back */
        if (!cap_acquire(worker.table, &worker.live, 0, 0, 1))
            ok(false, "a slot for the script");
        free_slots++;
        backends_release_slot(&worker, &pas[0]);
    }
    runs = false;
    return true;
}

static void afresh(void)
{
    memset(x, 0, sizeof x);
    memset(order, 0, sizeof order);
    memset(worker.row, 0, sizeof *worker.row);
    cap_forget(worker.table, 0);
    worker.freed_first = worker.freed_last = NULL;
    worker.loop.deferred = false;
    free_slots = within = 0;
    memset(in_flight, 0, sizeof in_flight);
    only = NULL;
    pool = (struct pool_view){.worker = &worker,
                              .conf = &conf_pool,
                              .backends = pas,
                              .slots = slot_of,
                              .in_flight = in_flight,
                              .nbackends = BACKENDS};
    for (int i = 0; i < BACKENDS; i++)
        pas[i] = (struct backend_view){
            .conf = &conf_backend[i], .pool = &pool, .slot = i, .cell = &worker.row->be[i]};
}

static bool join(int i, struct backend_view *affinity)
{
    x[i].affinity = affinity;
    worker.loop.now_ms++;
    return wait_queue_join(&worker, &pool, affinity, x[i].resent ? WAITER_RETRY : WAITER_NEW,
                           &x[i].waiter);
}

static void wake(int slots)
{
    free_slots = slots;
    wait_queue_retry(&pool);
    loop_run_deferred(&worker.loop);
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
    is_int(x[0].waiter.queue == &pas[0].waiters, 1, "  and keeps its turn");
}

static void test_within(void)
{
    afresh();
    for (int i = 0; i < 4; i++) {
        x[i].is_short = true;
        join(i, NULL);
    }
    wake(1);
    is_str(order, "abcd", "a slot that comes back at once goes to the next");
    is_int(within, 0, "  after that one, not from within");
    ok(!worker.loop.deferred && !worker.freed_first && !pool.due, "  and that is over");
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
    is_int(x[n].waiter.queue == &pool.retriers, 1, "  and waits for the retry budget");
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
    wait_queue_close(&worker);
    wake(2);
    is_str(order, "", "at the end of the worker nobody gets a slot any more");
    is_int(pool.nwaiting, 2, "  they wait until they are cut");
}

/* ---- between workers: ours is row 0, the other one row 1 */

enum { OTHER = 1 };

static void other_waits(uint64_t pool_since_ms, uint64_t backend_since_ms)
{
    struct worker_row *row = &worker.table->worker[OTHER];

    memset(row, 0, offsetof(struct worker_row, recent));
    worker.live = (struct cap_rows){.rows = {0, OTHER}, .n = 2};
    atomic_store(&row->waiting_since_ms[0], pool_since_ms);
    atomic_store(&row->be[1].waiting_since_ms, backend_since_ms);
    for (int i = 0; i < BACKENDS; i++) {
        conf_backend[i].max_in_flight = 1;
        pas[i].address_len = sizeof(struct sockaddr_in);
        pas[i].health.state = HEALTH_UP;
    }
}

/* For a slot, and nothing else. */
static bool was_rung(void)
{
    uint64_t rung = fd_unring(heritage.doorbell[OTHER]);

    return rung && rung % HERITAGE_RING_FREED == 0;
}

/* In an event, some exchange of ours releases its slot at backend i. */
static void release_within(int i)
{
    if (!cap_acquire(worker.table, &worker.live, 0, i, 1))
        ok(false, "a slot for the script");
    free_slots++;
    backends_release_slot(&worker, &pas[i]);
}

/* The same, and the event is over. */
static void release(int i)
{
    release_within(i);
    loop_run_deferred(&worker.loop);
}

static void test_oldest(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    release(0);
    is_str(order, "a", "nobody else waits: ours gets the slot");
    ok(!was_rung(), "  and nobody is rung");

    afresh();
    other_waits(0, 0);
    join(0, NULL);
    other_waits(worker.loop.now_ms - 1, 0);
    release(0);
    ok(was_rung(), "an older one waits elsewhere: that worker is rung");
    is_str(order, "", "  ours leaves the slot to it");
    is_int(wait_queue_look_in_ms(&worker, 1000), 2, "  but looks a moment later");
    ok(!wait_queue_look(&worker), "  not now");
    worker.loop.now_ms += 2;
    ok(wait_queue_look(&worker), "  then");
    is_str(order, "a", "  and has the slot that the other one did not take");
    ok(was_rung(), "  nobody waits here any more: the other one looks at what is left");
    is_int(wait_queue_look_in_ms(&worker, 1000), 1000, "  and there is nothing to look for");
}

static void test_about_as_old(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    other_waits(worker.loop.now_ms - 10, 0);
    join(1, NULL);
    worker.loop.now_ms += 79;
    release(0);
    ok(!was_rung(), "ours has waited 80 ms, another one 90 ms: that is about as long");
    is_str(order, "a", "  ours gets the slot");

    afresh();
    other_waits(0, 0);
    join(0, NULL);
    other_waits(worker.loop.now_ms - 11, 0);
    join(1, NULL);
    worker.loop.now_ms += 79;
    release(0);
    ok(was_rung(), "ours has waited 80 ms, another one 91 ms: that is an eighth longer");
    is_str(order, "", "  ours leaves the slot to it");
    free_slots = 0;
}

static void test_told(void)
{
    afresh();
    join(0, NULL);
    is_int(wait_queue_look_in_ms(&worker, 1000), WAIT_QUEUE_LOOK_MS, "one waits");
    free_slots = 1;
    wait_queue_rung(&worker);
    is_int(wait_queue_look_in_ms(&worker, 1000), 0, "told of a free slot: looks in this turn");
    wait_queue_look(&worker);
    is_str(order, "a", "  and has it");
}

static void test_contended(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    wait_queue_contended(&worker, &pool);
    is_int(wait_queue_look_in_ms(&worker, 1000), 2,
           "another worker wanted the slot, too: a look");
    worker.loop.now_ms += 2;
    free_slots = 1;
    ok(wait_queue_look(&worker), "  soon");
    is_str(order, "a", "  and one of the two has it");

    afresh();
    wait_queue_contended(&worker, &pool);
    join(0, NULL); /* a millisecond later */
    is_int(wait_queue_look_in_ms(&worker, 1000), 1, "one that joins after it looks soon, too");
}

static void test_who_can_use_it(void)
{
    afresh();
    other_waits(1, 0);
    join(0, &pas[1]);
    pas[1].admin = ADMIN_DRAIN;
    release(1);
    is_str(order, "a", "of a draining backend: its session, not one that can go anywhere");

    afresh();
    other_waits(0, 1);
    pas[1].admin = ADMIN_DRAIN;
    join(0, &pas[1]);
    release(1);
    ok(was_rung(), "an older one of that session's backend elsewhere has it");

    afresh();
    other_waits(900, 0);
    join(0, NULL);
    x[0].waiter.since_ms = worker.loop.now_ms = 800;
    atomic_store(&worker.row->waiting_since_ms[0], 800);
    wait_queue_close(&worker);
    release(0);
    ok(was_rung(), "at the end of a worker its slots go to others, however long ours waited");
    worker.loop.now_ms = 1000;
}

static void test_after_the_event(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    join(1, &pas[1]);
    join(2, NULL);
    release_within(1);
    release_within(0);
    release_within(1);
    is_str(order, "", "slots are released in an event: nobody is called from within");
    is_int(wait_queue_look_in_ms(&worker, 1000), 0, "  the loop does not sleep on that");
    loop_run_deferred(&worker.loop);
    is_str(order, "abc", "  after it those that wait have them, oldest first");
    ok(!worker.freed_first && !worker.loop.deferred, "  and nothing is left to do");
    ok(!wait_queue_look(&worker), "  at the end of the turn, too");

    afresh();
    other_waits(0, 0);
    join(0, NULL);
    release_within(0);
    ok(wait_queue_look(&worker), "one that the end of the turn finds");
    is_str(order, "a", "  is not lost");

    afresh();
    other_waits(900, 0);
    release_within(0);
    ok(!was_rung(), "none of ours waits: nobody is rung from within");
    loop_run_deferred(&worker.loop);
    ok(was_rung(), "  after the event, the other worker is");
    wait_queue_look(&worker);
    ok(!was_rung(), "  once");

    afresh();
    other_waits(0, 0);
    conf_backend[0].max_in_flight = 0;
    join(0, NULL);
    release_within(0);
    is_str(order, "", "without a cap: not from within");
    loop_run_deferred(&worker.loop);
    is_str(order, "a", "  but one that waited for something else tries again");
    release_within(0);
    ok(!worker.loop.deferred, "  and if nobody waits there is nothing to do");
    conf_backend[0].max_in_flight = 1;
}

/* Slots that ours cannot use, or not all of them, are for another worker. */
static void test_left_over(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    other_waits(worker.loop.now_ms, 0);
    release_within(0);
    release_within(0);
    loop_run_deferred(&worker.loop);
    is_str(order, "a", "two slots, one of ours waits: it gets one");
    ok(was_rung(), "  another worker is told of the other one");

    afresh();
    other_waits(0, 0);
    join(0, NULL);
    join(1, NULL);
    other_waits(worker.loop.now_ms, 0);
    release_within(0);
    release_within(0);
    loop_run_deferred(&worker.loop);
    is_str(order, "ab", "two wait: they get both");
    ok(!was_rung(), "  and nobody is told");

    afresh();
    other_waits(0, 0);
    join(0, NULL);
    other_waits(worker.loop.now_ms, 0);
    release_within(0);
    free_slots = 0; /* it has tried this backend */
    loop_run_deferred(&worker.loop);
    ok(was_rung(), "one that cannot use it: another worker is told");
}

/* A turn of the loop whose last event, a timer's, frees a slot. */
static void last_event(struct loop_timer *timer)
{
    (void)timer;
    release_within(0);
    is_str(order, "", "the last event of a turn: nobody is called from within");
}

static void test_last_event(void)
{
    struct loop_timer timer = {.fire = last_event};
    struct loop *loop = &worker.loop;

    afresh();
    other_waits(0, 0);
    CHECK(loop_init(loop) == 0);
    loop->run_deferred = wait_queue_run;
    join(0, NULL);
    loop_timer_set(loop, &timer, 0);
    while (timer.link.next)
        loop_once(loop, 100);
    is_str(order, "a", "  in the same turn, the one that waits has the slot");
    loop_release(loop);
    worker.loop.now_ms = 1000;
}

static void test_look(void)
{
    afresh();
    other_waits(0, 0);
    join(0, NULL);
    is_int(wait_queue_look_in_ms(&worker, 1000), WAIT_QUEUE_LOOK_MS,
           "nothing happened: a look");
    worker.loop.now_ms += WAIT_QUEUE_LOOK_MS - 1;
    is_int(wait_queue_look_in_ms(&worker, 1000), 1, "  at its time, whatever wakes the loop");
    worker.live = (struct cap_rows){.n = 1};
}

static void test_repair(void)
{
    afresh();
    join(0, NULL);
    join(1, &pas[1]);
    is_int(wait_queue_repair(&worker, &pool), 0, "the table is right");
    atomic_store(&worker.row->queued[1], 7);
    atomic_store(&worker.row->queued_any[0], 9);
    is_int(wait_queue_repair(&worker, &pool), 2, "two wrong figures are found");
    atomic_store(&worker.row->queued_any[1], 5000);
    is_int(wait_queue_repair(&worker, &pool), 1, "  also where none belongs");
    is_int(atomic_load(&worker.row->queued[1]), 1, "  and set right");
    is_int(wait_queue_repair(&worker, &pool), 0, "  for good");
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
    heritage.doorbell[OTHER] = eventfd(0, EFD_NONBLOCK);
    worker.conf = &conf;
    worker.pools = &pool;
    worker.retry_queued = scripted;
    worker.live = (struct cap_rows){.n = 1};
    worker.loop.now_ms = 1000;
    worker.loop.run_deferred = wait_queue_run;
    test_order();
    test_stuck();
    test_within();
    test_full();
    test_closed();
    test_oldest();
    test_about_as_old();
    test_told();
    test_contended();
    test_who_can_use_it();
    test_after_the_event();
    test_left_over();
    test_last_event();
    test_look();
    test_repair();
    return done();
}
