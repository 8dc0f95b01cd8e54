/* The map of APSV connections: what one worker learns, every other one finds. */
#include "shm/apsv_map.h"

#include <sys/mman.h>

#include "t/unit/tap.h"

enum { SOME = 300, START = 1000 * 1000 };

static uint32_t found(const struct table *table, uint64_t hash, uint64_t now_ms)
{
    uint32_t instance = 0;

    return apsv_map_find(table, hash, now_ms, &instance) ? instance : 0;
}

int main(void)
{
    struct table *t =
        mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t now = START;
    int known = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        t->child[r].row.incarnation = 1; /* others are not looked at */
    is_int(found(t, 7, now), 0, "nothing is known at first");
    apsv_map_learn(&t->worker[3], 7, 101, now);
    is_int(found(t, 7, now), 101, "learnt by one, found by all");
    is_int(found(t, 7 + 128, now), 0, "another hash of the same set is not known");

    apsv_map_learn(&t->worker[9], 7, 202, now + 5000);
    is_int(found(t, 7, now + 5000), 202, "the latest word counts");
    apsv_map_learn(&t->worker[3], 7, 101, now + 9000);
    is_int(found(t, 7, now + 9000), 101, "whoever says it");

    is_int(found(t, 7, now + 8000), 101, "though its clock was read a little later");
    worker_row_reset(&t->worker[3], 2, TABLE_BACKENDS);
    is_int(found(t, 7, now + 9000), 101, "it outlives its worker");

    now += 9000 + APSV_MAP_TTL_MS;
    is_int(found(t, 7, now), 101, "for half an hour");
    is_int(found(t, 7, now + 1000), 0, "and no longer");

    for (uint64_t h = 1; h <= 9; h++)
        apsv_map_learn(&t->worker[0], h * 1024, (uint32_t)h, now + h * 1000);
    is_int(found(t, 1 * 1024, now + 10000), 0, "a full set gives up the oldest");
    is_int(found(t, 2 * 1024, now + 10000), 2, "and none else");

    for (uint64_t h = 1; h <= SOME; h++)
        apsv_map_learn(&t->worker[1], h * UINT64_C(0x9e3779b97f4a7c15), (uint32_t)h, now);
    for (uint64_t h = 1; h <= SOME; h++)
        known += found(t, h * UINT64_C(0x9e3779b97f4a7c15), now) == h;
    ok(known >= SOME - 3, "%d of %d at once", known, SOME);
    return done();
}
