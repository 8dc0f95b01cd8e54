/* The score: which backend is unlike the others, and when it is like them again. The test plays
 * what the workers measure, and says what time it is. */
#include "healthd/outlier/score.h"

#include <string.h>

#include "t/unit/tap.h"

enum { N = 3, MOST = 8 };

static struct score score[MOST];
static struct evidence evidence[MOST];
static uint32_t n;
static uint64_t now;
static char text[TABLE_REASON];

static void begin(uint32_t backends)
{
    now = 123456789; /* no fresh boot */
    n = backends;
    memset(score, 0, sizeof score);
    memset(evidence, 0, sizeof evidence);
    for (uint32_t i = 0; i < n; i++)
        score_clear(&score[i], &evidence[i], now);
}

/* The same, and all windows are complete. */
static void begin_old(uint32_t backends)
{
    begin(backends);
    now += 300000;
}

static void measured(uint32_t i, uint64_t all, uint64_t bad, enum evidence_kind kind)
{
    uint64_t *count = evidence[i].count;

    memset(count, 0, sizeof evidence[i].count);
    count[kind] = bad;
    count[EVIDENCE_ALL] = all;
    for (int k = 0; k < EVIDENCE_LEVELS; k++)
        window_add(&evidence[i].compared[k], evidence_step_ms(k), count, now);
    score_feed(&score[i], &evidence[i], now);
}

/* Looks at all of them. Which one changed; -1: none. */
static int look(void)
{
    struct score_totals totals = {0};
    int changed = -1;

    text[0] = '\0';
    for (uint32_t i = 0; i < n; i++) {
        measured(i, 0, 0, EVIDENCE_5XX);
        score_add(&totals, &evidence[i], 1);
    }
    for (uint32_t i = 0; i < n; i++)
        if (score_judge(&score[i], &evidence[i], &totals, 1, now, text))
            changed = (int)i;
    return changed;
}

/* The same for slow ones, which have to be confirmed. */
static int look_twice(void)
{
    int at = look();

    now += SCORE_CONFIRM_MS;
    return at < 0 ? look() : -2;
}

/* `each` requests at each, all at once; the first gives `bad` bad responses, the others
 * none. Is it found? */
static bool found(uint64_t each, uint64_t bad, enum evidence_kind kind)
{
    begin_old(N);
    for (uint32_t i = 0; i < n; i++)
        measured(i, each, i ? 0 : bad, kind);
    return (kind == EVIDENCE_SLOW ? look_twice() : look()) == 0;
}

static void test_found(void)
{
    ok(found(10, 10, EVIDENCE_5XX),
       "thirty requests to three: all 5xx at one of them is found");
    is_str(text, "10 of 10 requests answered with 5xx, at other backends 0 of 20",
           "  and it is told why");
    ok(found(10, 7, EVIDENCE_4XX), "7 of 10 with 4xx");
    ok(found(10, 10, EVIDENCE_SLOW), "all slow");
    ok(found(5, 5, EVIDENCE_5XX), "a handful is enough");
    ok(!found(3, 3, EVIDENCE_5XX), "three may be chance");
    ok(!found(10, 4, EVIDENCE_5XX), "four of ten too");
    ok(!found(1000, 200, EVIDENCE_5XX), "a fifth is no reason, however certain");
    begin(N);
    for (uint32_t i = 0; i < n; i++)
        measured(i, 100, 100, EVIDENCE_5XX);
    is_int(look(), -1, "what all do is found at none of them");
    begin(1);
    measured(0, 100, 100, EVIDENCE_5XX);
    is_int(look(), -1, "nor at the only one");
    begin(2);
    measured(0, 8, 8, EVIDENCE_5XX);
    measured(1, 8, 0, EVIDENCE_5XX);
    is_int(look(), 0, "two backends are enough");
}

/* Requests that last long keep others away: its few responses are slow, not its fault. */
static void test_slow(void)
{
    begin_old(N);
    measured(0, 4, 4, EVIDENCE_SLOW);
    measured(1, 4, 4, EVIDENCE_SLOW);
    measured(2, 100, 3, EVIDENCE_SLOW);
    is_int(look_twice(), -1, "reports: two backends have nothing else meanwhile");
    begin_old(N);
    measured(0, 4, 4, EVIDENCE_SLOW);
    measured(1, 50, 0, EVIDENCE_SLOW);
    measured(2, 50, 0, EVIDENCE_SLOW);
    is_int(look_twice(), -1, "four at one may be chance");
    measured(0, 4, 4, EVIDENCE_SLOW);
    is_int(look_twice(), 0, "eight are not");

    /* A burst of them: each backend is counted at another moment. */
    begin_old(N);
    for (uint32_t i = 0; i < n; i++, now += 50) {
        measured(i, 10, 10, EVIDENCE_SLOW);
        measured((i + 1) % N, 10, 0, EVIDENCE_SLOW);
        is_int(look(), -1, "a burst of slow ones, counted at %u backends", i + 1);
    }
    is_int(look_twice(), -1, "  and at all of them");
}

/* Where such responses are usual, a few in a row are no reason. */
static void test_usual(void)
{
    begin(N);
    for (int round = 0; round < 100; round++, now += 3000)
        for (uint32_t i = 0; i < n; i++)
            measured(i, 10, 4, EVIDENCE_4XX);
    measured(0, 5, 5, EVIDENCE_4XX);
    measured(1, 5, 0, EVIDENCE_4XX);
    measured(2, 5, 0, EVIDENCE_4XX);
    is_int(look(), -1, "4xx are usual: five in a row are no reason");
    measured(0, 10, 10, EVIDENCE_4XX);
    measured(1, 10, 2, EVIDENCE_4XX);
    measured(2, 10, 2, EVIDENCE_4XX);
    is_int(look(), 0, "fifteen are");
}

/* Where none was seen for minutes, fewer are enough than where one was. */
static void test_unknown(void)
{
    for (uint64_t before = 0; before < 2; before++) {
        begin(N);
        for (uint32_t i = 0; i < n; i++)
            measured(i, SCORE_UNKNOWN, i == 1 ? before : 0, EVIDENCE_5XX);
        now += 1000;
        measured(0, 4, 4, EVIDENCE_5XX);
        measured(1, 4, 0, EVIDENCE_5XX);
        measured(2, 4, 0, EVIDENCE_5XX);
        is_int(look(), before ? -1 : 0, "four of four, where others gave %s",
               before ? "one" : "none");
    }
}

/* One request each 2 s to a pool of three. */
static void test_quiet_pool(void)
{
    int at = -1, failed = 0;

    begin(N);
    for (int i = 0; i < 120; i++, now += 2000) {
        measured((uint32_t)(i % N), 1, 0, EVIDENCE_5XX);
        look();
    }
    for (int i = 0; i < 60 && at < 0; i++, now += 2000) {
        bool bad = i % N == 0;

        failed += bad;
        measured((uint32_t)(i % N), 1, bad, EVIDENCE_5XX);
        at = look();
    }
    is_int(at, 0, "a quiet pool: found in time");
    ok(failed <= 8, "  after %d errors", failed);
}

static void test_ends(void)
{
    found(10, 10, EVIDENCE_5XX);
    now += 1000;
    measured(0, 2, 0, EVIDENCE_5XX);
    is_int(look(), -1, "two good ones: not yet");
    measured(0, 1, 0, EVIDENCE_5XX);
    is_int(look(), 0, "three in a row end it");
    is_str(text, "3 requests in a row served as at other backends", "  as it is told");
    ok(!score[0].kind, "  it is like the others");
    is_int(look(), -1, "  and what was before is forgotten");

    for (uint32_t i = 0; i < n; i++)
        measured(i, 10, i ? 0 : 10, EVIDENCE_5XX);
    is_int(look(), 0, "found again soon");
    measured(0, 5, 0, EVIDENCE_5XX);
    is_int(look(), -1, "  it has to be good for longer");
    measured(0, 1, 0, EVIDENCE_5XX);
    is_int(look(), 0, "  twice as long");

    found(20, 10, EVIDENCE_5XX);
    measured(0, 5, 0, EVIDENCE_5XX);
    is_int(look(), -1, "half are bad: a few good ones prove less");
    measured(0, 1, 0, EVIDENCE_5XX);
    is_int(look(), 0, "  but six do");

    found(10, 10, EVIDENCE_5XX);
    measured(0, 10, 1, EVIDENCE_5XX);
    now += 1000;
    measured(1, 20, 18, EVIDENCE_5XX);
    measured(2, 20, 19, EVIDENCE_5XX);
    is_int(look(), 0, "the others have it too");
    is_str(text, "other backends respond in the same way", "  that ends it");

    found(10, 10, EVIDENCE_5XX);
    now += SCORE_QUIET_MS - 1;
    is_int(look(), -1, "nothing comes");
    now++;
    is_int(look(), 0, "  for a minute: it gets its weight back");
}

/* A clock that stands still or goes back does no harm, and a restart of healthd costs nothing.
 */
/* While another one is found nobody else may be; nor is it a minute later, by what is old. */
static void test_old(void)
{
    for (int old = 0; old < 2; old++) {
        begin_old(N);
        for (uint32_t i = 0; i < n; i++)
            measured(i, 20, i ? 0 : 20, EVIDENCE_5XX);
        now += SCORE_QUIET_MS - 1 + (uint64_t)old;
        is_int(look(), old ? -1 : 0, "measured %s",
               old ? "long ago: not found" : "lately: found");
    }
}

static void test_clock(void)
{
    found(10, 10, EVIDENCE_4XX);
    now -= 5000;
    measured(0, 3, 0, EVIDENCE_4XX);
    is_int(look(), 0, "the clock goes back: it ends all the same");
    begin(N);
    score[0] = (struct score){.kind = EVIDENCE_4XX, .share = 500, .heard_ms = now};
    is_int(look(), -1, "a successor takes over");
    now -= 5;
    is_int(look(), -1, "  also where it looks with a time that was read before");
    now += 5;
    measured(0, 6, 0, EVIDENCE_4XX);
    is_int(look(), 0, "  and sees the end");
}

int main(void)
{
    test_found();
    test_slow();
    test_usual();
    test_unknown();
    test_quiet_pool();
    test_old();
    test_ends();
    test_clock();
    return done();
}
