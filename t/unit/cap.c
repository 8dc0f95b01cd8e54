/* shm/cap.c: caps hold exactly while several processes fight for places. */
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/cap.h"
#include "t/unit/tap.h"

enum { PROCESSES = 4, CAP = 3, TURNS = 20000, SLOT = 5, POOL = 2 };

struct witness {
    _Atomic uint32_t inside, most, taken;
};

static struct table *table;
static struct witness *witness;
static struct cap_rows live;

/* A kind of cap, all with the same promise. */
struct fought {
    const char *name;
    bool (*take)(int mine);
    void (*give)(int mine);
    uint32_t cap;
};

static bool acquire_slot(int mine)
{
    return cap_acquire(table, &live, mine, SLOT, CAP);
}

static void give_place(int mine)
{
    cap_release(table, mine, SLOT, CAP);
}

static bool take_probation(int mine)
{
    return cap_probation_acquire(table, &live, mine, SLOT, 1);
}

static void give_probation(int mine)
{
    cap_probation_release(table, mine, SLOT);
}

static bool take_retry(int mine)
{
    return cap_retry_acquire(table, &live, mine, POOL, cap_retries(0));
}

static void give_retry(int mine)
{
    cap_retry_release(table, mine, POOL);
}

static bool take_expect(int mine)
{
    return cap_expect_acquire(table, &live, mine, POOL, 2);
}

static void give_expect(int mine)
{
    cap_expect_release(table, mine, POOL);
}

static const struct fought fights[] = {
    {"places", acquire_slot, give_place, CAP},
    {"the probation", take_probation, give_probation, 1},
    {"retries", take_retry, give_retry, CAP_RETRY_LEAST},
    {"bodies to come", take_expect, give_expect, 2},
};

/* What the cap is about: never more than that between take and give. */
static void fight(const struct fought *f, int mine)
{
    for (int i = 0; i < TURNS; i++) {
        uint32_t now, most;

        if (!f->take(mine))
            continue;
        now = atomic_fetch_add(&witness->inside, 1) + 1;
        most = atomic_load(&witness->most);
        while (now > most && !atomic_compare_exchange_weak(&witness->most, &most, now))
            ;
        atomic_fetch_add(&witness->taken, 1);
        sched_yield(); /* holds it while the others try */
        atomic_fetch_sub(&witness->inside, 1);
        f->give(mine);
    }
}

static void fight_all(const struct fought *f)
{
    bool clean = true;

    *witness = (struct witness){0};
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            fight(f, i * 3);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        wait(&status);
        clean &= status == 0;
    }
    ok(clean, "%d processes fought for %s", PROCESSES, f->name);
    diag("%u taken, at most %u at once", witness->taken, witness->most);
    ok(witness->most <= f->cap, "never more than %u at once", f->cap);
    /* Those that meet step back, all of them, and here they try again at once: how often one
     * has it is the scheduler's business. */
    ok(witness->taken > 0, "and they were had");
    ok(f->take(3), "all were given back");
    f->give(3);
}

static void test_expects(void)
{
    is_int(cap_expects(300), 37, "an eighth may be without their bodies");
    is_int(cap_expects(2), 1, "one at least");
    is_int(cap_expects(1), 0, "but never all");
    is_int(cap_expects(0), CAP_EXPECT_NO_CAP, "a fixed number where there is no cap");
    ok(!cap_expect_acquire(table, &live, 0, POOL, 0), "none where none may");
}

static void test_retries(void)
{
    is_int(cap_retries(0), 3, "three retries at least");
    is_int(cap_retries(15), 3, "also of 15");
    is_int(cap_retries(20), 4, "a fifth of 20");
    is_int(cap_retries(19), 3, "never more than a fifth");
    is_int(cap_retries(1000), 200, "a fifth of a thousand");
    for (int i = 0; i < 4; i++)
        ok(cap_retry_acquire(table, &live, i % 2 * 3, POOL, 4), "retry %d of 4", i + 1);
    ok(!cap_retry_acquire(table, &live, 6, POOL, 4), "not a fifth one, from another worker");
    ok(cap_retry_acquire(table, &live, 6, POOL + 1, 4), "another pool has its own");
    cap_retry_release(table, 6, POOL + 1);
    cap_retry_release(table, 3, POOL);
    ok(cap_retry_acquire(table, &live, 6, POOL, 4), "one that ended makes room");
    cap_retry_release(table, 6, POOL);
    cap_retry_release(table, 3, POOL);
    cap_retry_release(table, 0, POOL);
    cap_retry_release(table, 0, POOL);
}

static void *shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* A stray write in the cell of one worker: the others are not kept from the backend. */
static void wrong_cell(void)
{
    _Atomic uint32_t *cell = &table->worker[live.rows[1]].in_flight[SLOT + 1];
    uint16_t slot = SLOT + 1;
    uint32_t sum;

    atomic_store(cell, 1000);
    ok(cap_acquire(table, &live, live.rows[0], SLOT + 1, 1),
       "a cell of an idle worker is wrong");
    ok(cap_acquire(table, &live, live.rows[1], SLOT + 2, 1), "the worker has one elsewhere");
    atomic_store(cell, 1000);
    is_int(cap_in_flight(table, &live, SLOT + 1), 2, "so it counts for that one at most");
    cap_in_flight_each(table, &live, &slot, 1, &sum);
    is_int(sum, 2, "  in a choice, too");
    ok(cap_acquire(table, &live, live.rows[2], SLOT + 1, 3), "and another worker has its slot");
    is_int(cap_repair(table, live.rows[1]), 1, "its worker repairs it");
    is_int(cap_in_flight(table, &live, SLOT + 1), 2, "  then it does not count at all");
    cap_release(table, live.rows[0], SLOT + 1, 1);
    cap_release(table, live.rows[1], SLOT + 2, 1);
    cap_release(table, live.rows[2], SLOT + 1, 1);
    is_int(cap_in_flight(table, &live, SLOT + 1), 0, "all are released");
}

/* All loads at once, as each of them. */
static void run_of_cells(void)
{
    enum { MANY = 23 };
    uint16_t slot[MANY];
    uint32_t each[MANY], run[MANY];
    _Atomic uint32_t *cell = &table->worker[live.rows[1]].in_flight[SLOT + MANY - 1];
    int wrong = 0;

    for (int i = 0; i < MANY; i++) {
        slot[i] = (uint16_t)(SLOT + i);
        for (int k = 0; k < i; k++)
            cap_acquire(table, &live, live.rows[k % live.n], slot[i], 0);
    }
    cap_in_flight_each(table, &live, slot, MANY, each);
    for (uint32_t n = 1; n <= MANY; n++) {
        wrong += !cap_in_flight_run(table, &live, SLOT, n, run);
        for (uint32_t i = 0; i < n; i++)
            wrong += run[i] != each[i] || run[i] != i;
    }
    is_int(wrong, 0, "all loads at once, however many");
    atomic_store(cell, 1000);
    ok(!cap_in_flight_run(table, &live, SLOT, MANY, run), "one cell is wrong: that is found");
    atomic_store(cell, UINT32_MAX);
    ok(!cap_in_flight_run(table, &live, SLOT, MANY, run), "  however wrong");
    cell = &table->worker[live.rows[1]].in_flight[SLOT + 1];
    atomic_store(cell, UINT32_MAX);
    ok(!cap_in_flight_run(table, &live, SLOT, MANY, run), "  and wherever");
    is_int(cap_repair(table, live.rows[1]), 2, "its worker repairs them");
    ok(cap_in_flight_run(table, &live, SLOT, MANY, run), "  then all is right");
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < i; k++)
            cap_release(table, live.rows[k % live.n], slot[i], 0);
}

/* A stray write in a worker's sum: what it holds still counts. */
static void wrong_sum(void)
{
    _Atomic uint64_t *all = &table->worker[live.rows[1]].in_flight_all;
    const uint64_t wrong[] = {0, 7, UINT64_MAX};
    uint16_t slot = SLOT;
    uint32_t sum;

    for (int i = 0; i < CAP; i++)
        ok(cap_acquire(table, &live, live.rows[1], SLOT, CAP), "a worker has %d", i + 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        atomic_store(all, wrong[i]);
        is_int(cap_in_flight(table, &live, SLOT), CAP, "its sum is wrong: they count");
        cap_in_flight_each(table, &live, &slot, 1, &sum);
        is_int(sum, CAP, "  in a choice, too");
        ok(!cap_acquire(table, &live, live.rows[2], SLOT, CAP), "  and the cap holds");
        is_int(cap_repair(table, live.rows[1]), 1, "  its worker repairs the sum");
    }
    for (int i = 0; i < CAP; i++)
        cap_release(table, live.rows[1], SLOT, CAP);
}

int main(void)
{
    bool clean = true;

    table = shared(sizeof *table);
    witness = shared(sizeof *witness);
    if (!table || !witness)
        return 1;
    for (int i = 0; i < PROCESSES; i++)
        live.rows[live.n++] = i * 3;
    for (int i = 0; i < PROCESSES; i++)
        cap_forget(table, live.rows[i]);
    wrong_cell();
    wrong_sum();
    run_of_cells();

    for (int i = 0; i < CAP; i++)
        ok(cap_acquire(table, &live, i * 3, SLOT, CAP), "place %d of %d", i + 1, CAP);
    ok(!cap_acquire(table, &live, 9, SLOT, CAP), "the next one is refused, in another row");
    is_int(cap_in_flight(table, &live, SLOT), CAP, "a refusal leaves no trace");
    cap_release(table, 0, SLOT, CAP);
    ok(cap_acquire(table, &live, 9, SLOT, CAP),
       "a place that was given back is taken elsewhere");
    for (int i = 1; i <= CAP; i++)
        cap_release(table, i * 3, SLOT, CAP);
    for (int i = 0; i < 1000; i++)
        clean &= cap_acquire(table, &live, 3, SLOT, 0);
    ok(clean, "without a cap there is always a place");
    for (int i = 0; i < 1000; i++)
        cap_release(table, 3, SLOT, 0);
    live.n--;
    ok(cap_acquire(table, &live, 9, SLOT, 1), "the cell of a row that is not live");
    ok(cap_acquire(table, &live, 0, SLOT, 1), "does not count");
    live.n++;
    cap_release(table, 9, SLOT, 1);
    cap_release(table, 0, SLOT, 1);

    test_retries();
    test_expects();
    for (size_t i = 0; i < sizeof fights / sizeof *fights; i++)
        fight_all(&fights[i]);
    is_int(cap_in_flight(table, &live, SLOT), 0, "nothing is left");
    return done();
}
