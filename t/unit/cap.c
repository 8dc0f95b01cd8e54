/* shm/cap.c: the cap holds exactly while several processes fight for places. */
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/cap.h"
#include "t/unit/tap.h"

enum { PROCESSES = 4, CAP = 3, TURNS = 20000, SLOT = 5 };

struct witness {
    _Atomic uint32_t inside, most, taken;
};

static struct table *table;
static struct witness *witness;
static struct cap_rows live;

/* What the cap is about: never more than CAP between take and give. */
static void fight(int mine)
{
    for (int i = 0; i < TURNS; i++) {
        uint32_t now, most;

        if (!cap_take(table, &live, mine, SLOT, CAP))
            continue;
        now = atomic_fetch_add(&witness->inside, 1) + 1;
        most = atomic_load(&witness->most);
        while (now > most && !atomic_compare_exchange_weak(&witness->most, &most, now))
            ;
        atomic_fetch_add(&witness->taken, 1);
        sched_yield(); /* holds it while the others try */
        atomic_fetch_sub(&witness->inside, 1);
        cap_give(table, mine, SLOT, CAP);
    }
}

static void *shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
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

    for (int i = 0; i < CAP; i++)
        ok(cap_take(table, &live, i * 3, SLOT, CAP), "place %d of %d", i + 1, CAP);
    ok(!cap_take(table, &live, 9, SLOT, CAP), "the next one is refused, in another row");
    is_int(cap_in_flight(table, &live, SLOT), CAP, "a refusal leaves no trace");
    cap_give(table, 0, SLOT, CAP);
    ok(cap_take(table, &live, 9, SLOT, CAP), "a place that was given back is taken elsewhere");
    for (int i = 1; i <= CAP; i++)
        cap_give(table, i * 3, SLOT, CAP);
    for (int i = 0; i < 1000; i++)
        clean &= cap_take(table, &live, 3, SLOT, 0);
    ok(clean, "without a cap there is always a place");
    for (int i = 0; i < 1000; i++)
        cap_give(table, 3, SLOT, 0);
    live.n--;
    ok(cap_take(table, &live, 9, SLOT, 1), "the cell of a row that is not live");
    ok(cap_take(table, &live, 0, SLOT, 1), "does not count");
    live.n++;
    cap_give(table, 9, SLOT, 1);
    cap_give(table, 0, SLOT, 1);

    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            fight(i * 3);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;

        wait(&status);
        clean &= status == 0;
    }
    ok(clean, "%d processes fought", PROCESSES);
    diag("%u places taken, at most %u at once", witness->taken, witness->most);
    ok(witness->most <= CAP, "never more than %d at once", CAP);
    ok(witness->taken > TURNS / 10, "and places were had");
    is_int(cap_in_flight(table, &live, SLOT), 0, "all were given back");
    return done();
}
