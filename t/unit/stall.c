/* Silence of an instance: what is a hang, and what are long requests. */
#include "healthd/outlier/stall.h"
#include "t/unit/tap.h"

static struct stall s;
static uint64_t now, oldest;

static bool see(uint64_t responses, uint64_t unanswered, uint64_t min_waiting)
{
    struct stall_view view = {responses, unanswered, unanswered ? oldest : 0};

    return stall_feed(&s, &view, min_waiting, now);
}

static void begin(void)
{
    now = 1000000;
    oldest = 0;
    stall_init(&s, &(struct stall_view){.responses = 100}, now);
}

static void test_silence(void)
{
    begin();
    now += 60000;
    see(100, 0, 3);
    is_int(stall_ms(&s, now), 0, "nothing waits: no silence");
    oldest = now;
    now += 900;
    see(100, 1, 3);
    is_int(stall_ms(&s, now), 900, "one waits: since it came");
    now += 500;
    ok(see(101, 1, 3), "an answer is seen");
    is_int(stall_ms(&s, now), 0, "  and ends the silence");
    now += 700;
    ok(!see(101, 1, 3), "none this time");
    is_int(stall_ms(&s, now), 700, "it counts from the last answer");
    see(101, 0, 3);
    is_int(stall_ms(&s, now), 0, "the client went away: no silence");
}

static void test_few(void)
{
    begin();
    oldest = now;
    now += 5000;
    see(100, 2, 3);
    is_int(stall_many_ms(&s, now), 0, "two wait where three are asked for");
    now += 1000;
    see(100, 3, 3);
    now += 2000;
    see(100, 3, 3);
    is_int(stall_many_ms(&s, now), 3000, "three: since the third came, not the first");
    is_int(stall_ms(&s, now), 8000, "  where the first counts");
    see(102, 3, 3);
    is_int(stall_many_ms(&s, now), 0, "answers end it");
}

static void test_acknowledge(void)
{
    uint64_t started;

    begin();
    oldest = now;
    now += 1200;
    see(100, 1, 3);
    started = now;
    now += 100;
    stall_acknowledge(&s, started);
    is_int(stall_ms(&s, now), 0, "a check passed meanwhile: what waits is a long request");
    is_int(stall_waiting(&s), 0, "  which does not count");
    now += 600000;
    see(100, 1, 3);
    is_int(stall_ms(&s, now), 0, "not even ten minutes later");
    now += 250;
    see(100, 2, 3);
    now += 1000;
    see(100, 2, 3);
    is_int(stall_ms(&s, now), 1250, "another one does: since it came");
    is_int(stall_waiting(&s), 1, "  but it alone");
    now += 50;
    see(101, 1, 3);
    now += 400;
    see(101, 1, 3);
    is_int(stall_ms(&s, now), 400, "after an answer all that waits counts again");

    begin();
    oldest = now;
    now += 1200;
    see(100, 1, 3);
    stall_acknowledge(&s, now - 1100);
    is_int(stall_waiting(&s), 1,
           "a check that was sent when all was well acknowledges nothing");
}

static void test_hang_timeout(void)
{
    begin();
    is_int(stall_hang_timeout_ms(&s, now), STALL_HANG_MS, "at first");
    is_int(stall_sign_ms(&s, now), STALL_SIGN_MS, "  and for a check");
    oldest = now;
    now += 5000;
    see(101, 2, 3);
    stall_learn(&s, now);
    is_int(stall_hang_timeout_ms(&s, now), STALL_HANG_MS,
           "a wait that was never looked at teaches nothing");
    begin();
    oldest = now;
    now += 4000;
    see(100, 2, 2);
    now += 1000;
    see(101, 1, 2);
    stall_learn(&s, now);
    is_int(stall_hang_timeout_ms(&s, now), 7500, "it answered after 5 s: 7.5 s next time");
    is_int(stall_sign_ms(&s, now), 7500, "  for a check too: 5 s are no news");
    is_int(stall_hang_timeout_ms(&s, now + STALL_LEARNT_MS), STALL_HANG_MS, "for a minute");
    s.silence_ms = 300000;
    stall_learn(&s, now);
    is_int(stall_hang_timeout_ms(&s, now), STALL_LONGEST_MS, "there is a limit");
    s.silence_ms = 200;
    stall_learn(&s, now);
    is_int(stall_hang_timeout_ms(&s, now), STALL_LONGEST_MS, "quick answers teach nothing");
}

static void test_needed(void)
{
    is_int(stall_min_waiting(0, 0), 20, "nothing known: twenty must wait");
    is_int(stall_min_waiting(0, 1000), STALL_MIN_WAITING, "all were quick: three");
    is_int(stall_min_waiting(10, 1000), 4, "one in a hundred is slow: four");
    is_int(stall_min_waiting(100, 1000), 7, "one in ten: seven");
    ok(stall_min_waiting(500, 1000) >= 19, "every second one: many");
    ok(stall_min_waiting(1000, 1000) > 300, "all are slow: practically never");
}

int main(void)
{
    test_silence();
    test_few();
    test_acknowledge();
    test_hang_timeout();
    test_needed();
    return done();
}
