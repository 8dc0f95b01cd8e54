/* What the workers saw of a backend: failures, windows, silence. */
#include "healthd/outlier/evidence.h"

#include <string.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"

static const struct conf_eject rules = {
    .failures = 5, .window_ms = 5000, .time_ms = 10000, .max_ms = 300000};

static struct table table;
static struct evidence e;
static uint64_t now, oldest, row_of_one, responses;
static char text[TABLE_REASON];

static struct worker_backend *cell(void)
{
    return &table.worker[0].be[0];
}

static void begin(void)
{
    struct child_row worker = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 7};

    memset(cell(), 0, sizeof *cell());
    child_publish(&table.child[0], &worker);
    atomic_store(&table.worker[0].incarnation, 7);
    count_add(&cell()->latency[8], 100);
    now = 123456789; /* no fresh boot */
    oldest = row_of_one = 0;
    evidence_init(&e, &table, 0, now);
}

static void take(uint64_t min_waiting)
{
    evidence_read(&e, &table, 0, &rules, min_waiting, now);
}

static void feed(uint64_t hard, uint64_t good, uint64_t gateway)
{
    count_add(&cell()->cut, hard);
    count_add(&cell()->completed, good);
    count_add(&cell()->gateway_errors, gateway);
    atomic_store(&cell()->failed_in_row, (uint32_t)row_of_one);
    take(3);
}

static uint64_t in_window(enum evidence_kind kind)
{
    return e.failures.sum[kind];
}

static bool due(void)
{
    text[0] = '\0';
    return evidence_fails(&e, &rules, rules.failures, text);
}

static bool see(uint64_t ever, uint64_t unanswered, uint64_t min_waiting)
{
    atomic_store(&cell()->latency[8], ever);
    atomic_store(&cell()->unanswered, unanswered);
    atomic_store(&cell()->oldest_ms, unanswered ? oldest : 0);
    take(min_waiting);
    return e.count[EVIDENCE_FIRST] > 0;
}

static uint64_t silence(const struct evidence_crowd *crowd)
{
    return evidence_silence_ms(&e, crowd, now);
}

static void test_in_row(void)
{
    begin();
    ok(!due(), "nothing seen: stays");
    for (int i = 0; i < 4; i++)
        feed(1, 0, 0);
    ok(!due(), "four failures in a row: stays");
    feed(1, 0, 0);
    ok(due(), "five: goes");
    is_str(text, "5 requests failed in a row", "  and says why");

    begin();
    feed(4, 0, 0);
    feed(0, 1, 0);
    feed(1, 0, 0);
    now += 60000;
    feed(0, 0, 0);
    ok(!due(), "a good one in between breaks the row");
    feed(7, 0, 0);
    ok(due(), "many at once");
    evidence_clear_failures(&e);
    ok(!due(), "cleared: nothing counts any more");
    feed(4, 0, 0);
    ok(!due(), "  and it starts from none");
}

static void test_one_worker(void)
{
    begin();
    for (int i = 0; i < 5; i++) {
        row_of_one++;
        feed(1, 1, 0);
    }
    ok(due(), "five in a row at one worker while others succeed: goes");
    begin();
    row_of_one = 7;
    feed(1, 1, 0);
    ok(!due(), "what a worker counted long ago does not count with one failure now");
    begin();
    row_of_one = 1;
    for (int i = 0; i < 6; i++)
        feed(1, 1, 0);
    ok(!due(), "every second one fails: stays");
}

static void test_window(void)
{
    begin();
    for (int i = 0; i < 6; i++, now += 300) {
        feed(2, 0, 0);
        feed(0, 1, 0);
    }
    ok(due(), "two of three fail: goes");
    is_str(text, "12 of 18 requests failed within 5 s", "  and says how many");
    ok(in_window(EVIDENCE_GOOD) == 6, "the window is summed");
    now += 5500;
    feed(0, 0, 0);
    ok(!due(), "later, with nothing new: they have left the window");
    is_int(in_window(EVIDENCE_HARD), 0, "  all of them");
    begin();
    feed(2, 0, 0);
    feed(0, 1, 0);
    feed(2, 0, 0);
    feed(0, 1, 0);
    ok(!due(), "four of six fail: too few to tell");
    begin();
    feed(3, 0, 0);
    feed(0, 100, 0);
    feed(4, 0, 0);
    ok(!due(), "seven of a hundred fail: stays");
    now += 3000;
    feed(0, 1, 0);
    feed(4, 0, 0);
    is_int(in_window(EVIDENCE_HARD), 11, "three seconds later all count");
    now += 2600;
    feed(0, 0, 0);
    is_int(in_window(EVIDENCE_HARD), 4, "more than five later the first do not");
}

static void test_gateway(void)
{
    struct conf_eject gateway = rules;

    begin();
    feed(0, 10, 10);
    ok(!due(), "502, 503 and 504 do not count");
    gateway.gateway_percent = 80;
    ok(evidence_fails(&e, &gateway, gateway.failures, text), "unless a share is configured");
    is_str(text, "10 of 10 responses within 5 s: 502, 503 or 504", "  and says so");
    feed(0, 3, 0);
    ok(!evidence_fails(&e, &gateway, gateway.failures, text), "10 of 13 is below 80 %%");
    begin();
    feed(0, 4, 4);
    ok(!evidence_fails(&e, &gateway, gateway.failures, text), "four are too few");
}

static void test_off_and_near(void)
{
    struct conf_eject off = rules;

    off.failures = 0;
    begin();
    feed(50, 0, 0);
    ok(!evidence_fails(&e, &off, off.failures, text), "off: nothing is ever due");
    ok(!evidence_fails(&e, &off, off.failures / 2, text), "  nor near");
    begin();
    feed(1, 0, 0);
    ok(!evidence_fails(&e, &rules, rules.failures / 2, text), "one failure is not near");
    feed(1, 0, 0);
    ok(evidence_fails(&e, &rules, rules.failures / 2, text), "two in a row are");
    feed(0, 9, 0);
    ok(!evidence_fails(&e, &rules, rules.failures / 2, text), "until others go well");
}

static void test_silence(void)
{
    begin();
    now += 60000;
    see(100, 0, 3);
    is_int(silence(&e.any), 0, "nothing waits: no silence");
    oldest = now;
    now += 900;
    see(100, 1, 3);
    is_int(silence(&e.any), 900, "one waits: since it came");
    now += 500;
    ok(see(101, 1, 3), "an answer is seen");
    is_int(silence(&e.any), 0, "  and ends the silence");
    now += 700;
    ok(!see(101, 1, 3), "none this time");
    is_int(silence(&e.any), 700, "it counts from the last answer");
    see(101, 0, 3);
    is_int(silence(&e.any), 0, "the client went away: no silence");
}

static void test_few(void)
{
    begin();
    oldest = now;
    now += 5000;
    see(100, 2, 3);
    is_int(silence(&e.many), 0, "two wait where three are asked for");
    now += 1000;
    see(100, 3, 3);
    now += 2000;
    see(100, 3, 3);
    is_int(silence(&e.many), 3000, "three: since the third came, not the first");
    is_int(silence(&e.any), 8000, "  where the first counts");
    see(102, 3, 3);
    is_int(silence(&e.many), 0, "answers end it");
}

/* Those that led to a probation. */
static void test_tried(void)
{
    begin();
    oldest = now;
    now += 4000;
    see(100, 1, 3);
    e.tried = (struct evidence_crowd){e.now.unanswered, now};
    is_int(silence(&e.tried), 0, "what was tried does not count");
    now += 600000;
    see(100, 1, 3);
    is_int(silence(&e.tried), 0, "not even ten minutes later");
    now += 250;
    see(100, 2, 3);
    now += 1000;
    see(100, 2, 3);
    is_int(silence(&e.tried), 1250, "another one does: since it came");
    now += 50;
    see(101, 1, 3);
    now += 400;
    see(101, 2, 3);
    is_int(silence(&e.tried), 400, "or since there was a response");
    see(101, 0, 3);
    see(101, 1, 3);
    is_int(silence(&e.tried), silence(&e.any), "when all are gone the next one counts");
}

/* It responds after so long. */
static void respond_after(uint64_t ms)
{
    oldest = now;
    see(responses, 2, 2);
    now += ms;
    see(++responses, 0, 2);
}

static void test_patience(void)
{
    begin();
    responses = 100;
    is_int(evidence_hang_ms(&e), EVIDENCE_HANG_MS, "at first");
    is_int(evidence_sign_ms(&e), EVIDENCE_SIGN_MS, "  and for a check");
    respond_after(5000);
    is_int(evidence_hang_ms(&e), 7500, "it answered after 5 s: 7.5 s next time");
    is_int(evidence_sign_ms(&e), 7500, "  for a check too: 5 s are no news");
    respond_after(300000);
    ok(evidence_hang_ms(&e) < 7500, "a report of minutes teaches nothing");
    respond_after(15000);
    is_int(evidence_hang_ms(&e), EVIDENCE_LONGEST_MS, "there is a limit");
    respond_after(10);
    ok(evidence_hang_ms(&e) > 15000, "one quick answer changes little");
    for (int i = 0; i < 20; i++)
        respond_after(10);
    is_int(evidence_hang_ms(&e), EVIDENCE_HANG_MS, "twenty do");
}

static void test_needed(void)
{
    is_int(evidence_min_waiting(0, 0), 20, "nothing known: twenty must wait");
    is_int(evidence_min_waiting(0, 1000), 3, "all were quick: three");
    is_int(evidence_min_waiting(10, 1000), 4, "one in a hundred is slow: four");
    is_int(evidence_min_waiting(100, 1000), 7, "one in ten: seven");
    ok(evidence_min_waiting(500, 1000) >= 19, "every second one: many");
    ok(evidence_min_waiting(1000, 1000) > 300, "all are slow: practically never");
}

static void test_bad(void)
{
    begin();
    count_add(&cell()->timeouts, 2);
    take(3);
    ok(evidence_bad(&e, text), "timeouts, and nothing completes: bad");
    is_str(text, "workers saw 2 timeouts", "  and says what");
    count_add(&cell()->resets, 1);
    count_add(&cell()->completed, 1);
    take(3);
    ok(evidence_trouble(&e) && !evidence_bad(&e, text), "a reset, and one completes: trouble");
    count_add(&cell()->connect_errors, 1);
    count_add(&cell()->completed, 1);
    take(3);
    ok(evidence_bad(&e, text), "a failed connect is bad in any case");
    take(3);
    ok(!evidence_trouble(&e), "nothing new: no trouble");
}

int main(void)
{
    test_bad();
    test_in_row();
    test_one_worker();
    test_window();
    test_gateway();
    test_off_and_near();
    test_silence();
    test_few();
    test_tried();
    test_patience();
    test_needed();
    return done();
}
