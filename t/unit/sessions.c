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

static void note(int row, uint64_t hash, uint64_t now_ms)
{
    sessions_note(&t->worker[row], SLOT, table_session_words(t, row), hash, now_ms, IDLE);
}

static void set_words(int row, uint32_t words)
{
    atomic_store(&t->session_words[row], words);
}

/* The supervisor's mark that the row was ever used. */
static void use_row(int row)
{
    struct child_row child = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 1};

    child_publish(&t->child[row], &child);
    set_words(row, TABLE_SESSION_WORDS);
}

static uint64_t hash(uint64_t i)
{
    i = (i + 1) * UINT64_C(0xbf58476d1ce4e5b9);
    return i ^ i >> 31;
}

static void union_of_workers(void)
{
    is_int(live(START), 0, "none at first");
    note(3, hash(1), START);
    is_int(live(START), 1, "one");
    note(3, hash(1), START);
    note(9, hash(1), START);
    is_int(live(START), 1, "the same one, at two workers");
    note(9, hash(2), START);
    is_int(live(START), 2, "another one");
    is_int(sessions_live(t, SLOT + 1, START, IDLE), 0, "not at the next instance");
    is_int(sessions_live(t, SLOT, START - 50, IDLE), 2, "a clock that was read before");
}

static void end_of_workers(void)
{
    struct child_row child = {.kind = KIND_WORKER, .state = CHILD_EMPTY, .incarnation = 1};

    child_publish(&t->child[9], &child);
    is_int(live(START), 2, "what a dead worker noted counts");
    t->worker[9].be[SLOT].failed_in_row = 7;
    worker_row_reset(&t->worker[9], 2, TABLE_BACKENDS);
    is_int(t->worker[9].be[SLOT].failed_in_row, 0, "its row has a new process");
    is_int(live(START), 2, "and the sessions still count");
}

static void ages(void)
{
    uint64_t now = START;

    is_int(live(now + IDLE), 2, "after session_idle");
    is_int(live(now + 2 * IDLE), 0, "not after twice that");
    for (int i = 0; i < 50; i++) /* a session that goes on, another that stopped */
        note(3, hash(3), now += IDLE / 10);
    is_int(live(now), 1, "only the one that went on");

    now += 10 * IDLE;
    is_int(live(now), 0, "long silence");
    note(3, hash(4), now);
    is_int(live(now), 1, "what was before it does not come back");

    /* Whenever a session is seen, and however often its worker notes others since. */
    int early = 0, late = 0;
    for (int offset = 0; offset < IDLE; offset += 700) {
        for (int others = 0; others < 2; others++) {
            uint64_t seen = (now += 10 * IDLE) + (uint64_t)offset;

            note(3, hash(100), now);
            note(3, hash(101), seen);
            for (uint64_t at = seen; at <= seen + 3 * IDLE; at += 300) {
                if (others)
                    note(3, hash(102), at);
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

    is_int(sessions_estimate(0, SESSIONS_BITS), 0, "no bit: no session");
    is_int(sessions_estimate(1, SESSIONS_BITS), 1, "few are exact");
    is_int(sessions_estimate(10, SESSIONS_BITS), 10, "few are exact");
    ok(sessions_estimate(SESSIONS_BITS, SESSIONS_BITS) >= 7000, "all bits");
    for (uint64_t i = 0; i < 1000; i++)
        note(i % 2 ? 3 : 9, hash(1000 + i), now);
    n = live(now);
    ok(n > 900 && n < 1100, "a thousand sessions: %u", n);
}

/* With little shared memory a row has fewer bits. */
static void smaller(void)
{
    uint64_t now = START + 2000 * IDLE;

    is_int(sessions_estimate(1, 64), 1, "64 bits: one is exact");
    is_int(sessions_estimate(64, 64), 304, "64 bits: the maximum");
    for (uint32_t words = 1; words <= TABLE_SESSION_WORDS; words *= 2) {
        uint32_t fit = words * 32, n;

        now += 10 * IDLE;
        set_words(9, words); /* row 3 has them all */
        note(9, hash(1), now);
        is_int(live(now), 1, "%u words: one", words);
        note(3, hash(1), now);
        is_int(live(now), 1, "%u words: the same one at a worker with all words", words);
        note(3, hash(2), now);
        is_int(live(now), 2, "%u words: another one", words);
        for (uint64_t i = 0; i < fit; i++) {
            note(i % 3 ? 3 : 9, hash(5000 + i), now);
            note(9, hash(5000 + i), now);
        }
        n = live(now);
        ok(n > fit * 3 / 4 && n < fit * 5 / 4, "%u words: %u sessions: %u", words, fit, n);
        is_int(live(now + 2 * IDLE), 0, "%u words: until their time is over", words);
    }
}

static void none(void)
{
    uint64_t now = START + 3000 * IDLE;

    set_words(9, 0);
    is_int(live(now), 0, "no words: none is exact");
    note(9, hash(1), now);
    is_int(live(now), SESSIONS_UNCOUNTED, "no words: there are some");
    note(3, hash(1), now);
    is_int(live(now), SESSIONS_UNCOUNTED, "also beside a worker that counts");
    is_int(live(now + IDLE), SESSIONS_UNCOUNTED, "for session_idle");
    note(9, hash(2), now + IDLE);
    is_int(live(now + IDLE + IDLE / 2), SESSIONS_UNCOUNTED, "one goes on");
    is_int(live(now + 3 * IDLE), 0, "none goes on: 0 again");

    note(9, hash(1), now += 10 * IDLE);
    set_words(9, TABLE_SESSION_WORDS); /* a reload found room for the row's next process */
    is_int(live(now), SESSIONS_UNCOUNTED, "what was noted before there was room still counts");
    note(9, hash(2), now + IDLE);
    is_int(live(now + IDLE), 1, "later ones are counted");
    is_int(live(now + 3 * IDLE), 0, "until they are over");

    for (uint64_t i = 0; i < 30; i++) {
        set_words(9, i < 15 ? 2 : 8);
        note(9, hash(100 + i), now + 10 * IDLE);
    }
    uint32_t n = live(now + 10 * IDLE);
    ok(n >= 25 && n <= 35, "a row that grows keeps what it had: %u of 30", n);
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
    smaller();
    none();
    return done();
}
