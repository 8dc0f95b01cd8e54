/* Live sessions: noted by workers, counted over all, for as long as session_idle says. */
#include "shm/sessions.h"

#include <sys/mman.h>

#include "t/unit/tap.h"

enum { IDLE = 10 * 1000, SLOT = 5, START = 1000 * 1000 };

static struct table *t;

static uint32_t live(uint64_t now_ms)
{
    return sessions_live(t, SLOT, now_ms, IDLE);
}

static struct worker_backend *cell(int row)
{
    return &t->worker[row].be[SLOT];
}

/* The supervisor's mark that the row was ever used. */
static void use_row(int row)
{
    struct child_row child = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 1};

    child_publish(&t->child[row], &child);
}

static uint64_t hash(uint64_t i)
{
    i = (i + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    return i ^ i >> 31;
}

static void union_of_workers(void)
{
    is_int(live(START), 0, "none at first");
    sessions_note(cell(3), hash(1), START, IDLE);
    is_int(live(START), 1, "one");
    sessions_note(cell(3), hash(1), START, IDLE);
    sessions_note(cell(9), hash(1), START, IDLE);
    is_int(live(START), 1, "the same one, at two workers");
    sessions_note(cell(9), hash(2), START, IDLE);
    is_int(live(START), 2, "another one");
    is_int(sessions_live(t, SLOT + 1, START, IDLE), 0, "not at the next instance");
    is_int(sessions_live(t, SLOT, START - 50, IDLE), 2, "a clock that was read before");
}

static void end_of_workers(void)
{
    struct child_row child = {.kind = KIND_WORKER, .state = CHILD_EMPTY, .incarnation = 1};

    child_publish(&t->child[9], &child);
    is_int(live(START), 2, "what a dead worker noted counts");
    cell(9)->failed_in_row = 7;
    worker_row_reset(&t->worker[9], 2, TABLE_BACKENDS);
    is_int(cell(9)->failed_in_row, 0, "its row has a new process");
    is_int(live(START), 2, "and the sessions still count");
}

static void ages(void)
{
    uint64_t now = START;

    is_int(live(now + IDLE), 2, "after session_idle");
    is_int(live(now + 2 * IDLE), 0, "not after twice that");
    for (int i = 0; i < 50; i++) /* a session that goes on, another that stopped */
        sessions_note(cell(3), hash(3), now += IDLE / 10, IDLE);
    is_int(live(now), 1, "only the one that went on");

    now += 10 * IDLE;
    is_int(live(now), 0, "long silence");
    sessions_note(cell(3), hash(4), now, IDLE);
    is_int(live(now), 1, "what was before it does not come back");

    /* Whenever a session is seen, and however often its worker notes others since. */
    int early = 0, late = 0;
    for (int offset = 0; offset < IDLE; offset += 700) {
        for (int others = 0; others < 2; others++) {
            uint64_t seen = (now += 10 * IDLE) + (uint64_t)offset;

            sessions_note(cell(3), hash(100), now, IDLE);
            sessions_note(cell(3), hash(101), seen, IDLE);
            for (uint64_t at = seen; at <= seen + 3 * IDLE; at += 300) {
                if (others)
                    sessions_note(cell(3), hash(102), at, IDLE);
                uint32_t n = live(at), noise = (uint32_t)others;
                early += at < seen + IDLE && n < 1 + noise;
                late += at > seen + 2 * IDLE && n > noise;
            }
        }
    }
    is_int(early, 0, "a session counts for at least session_idle");
    is_int(late, 0, "and for at most twice that");
}

static void estimates(void)
{
    uint64_t now = START + 1000 * IDLE;
    uint32_t n;

    is_int(sessions_estimate(0), 0, "no bit: no session");
    is_int(sessions_estimate(1), 1, "few are exact");
    is_int(sessions_estimate(10), 10, "few are exact");
    ok(sessions_estimate(SESSIONS_BITS) >= 7000, "all bits");
    for (uint64_t i = 0; i < 1000; i++)
        sessions_note(cell((int)(i % 2 ? 3 : 9)), hash(1000 + i), now, IDLE);
    n = live(now);
    ok(n > 900 && n < 1100, "a thousand sessions: %u", n);
}

int main(void)
{
    t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    use_row(3);
    use_row(9);
    union_of_workers();
    end_of_workers();
    ages();
    estimates();
    return done();
}
