/* Hedges by silence: a request is sent elsewhere when its backend has sent nothing to anybody.
 */
#include "t/unit/hedged.h"
#include "t/unit/script/script.h"
#include "worker/upstream/silence.h"

/* Until a request that nobody else follows is hedged. */
static void wait_silent(void)
{
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    script_wait(SILENCE_ASK_MS + MORE_MS);
}

/* What waits on is closed. */
static void end_auto(const char *test)
{
    script_verdict(0, HEALTH_DOWN);
    script_run();
    script_end(test);
}

static void test_silence(void)
{
    begin_auto();
    ask("GET /web/a");
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    is_int(script_backend[1].requests, 0, "silent: but nobody else was sent there");
    script_wait(SILENCE_ASK_MS + MORE_MS);
    is_str(script_got(&client), "200 pas2", "nobody comes to ask it: hedged");
    is_int(hedges(0), 1, "  as is counted");
    is_str(detached(), "waits", "  its attempt waits on, for healthd to see");
    is_int(script_in_flight(0), 1, "  and keeps its slot");
    script_wait(DETACHED_LIMIT_MS);
    is_str(detached(), "gone", "  not for ever");
    is_int(count_read(&script_worker.backends[0].cell->probation_unanswered), 0,
           "  not on probation: not mute");
    script_end("silence");

    begin_auto();
    ask("GET /web/a");
    wait_silent();
    script_probation(0, CAUSE_SILENT);
    script_wait(SCRIPT_HANG_MS);
    is_str(detached(), "waits", "silent, then on probation: it may be slow only");
    script_wait(SCRIPT_HANG_MS / 2);
    is_str(detached(), "gone", "  after half as long again it is judged");
    is_int(count_read(&script_worker.backends[0].cell->probation_unanswered), 1, "  mute");
    script_end("silence on probation");

    begin_auto();
    ask("GET /web/a");
    wait_silent();
    says(0, FROM("pas1"));
    is_str(detached(), "gone", "a byte comes after all");
    is_int(script_worker.backends[0].probation_hedge_ms, 0,
           "  which changes nothing for probation");
    script_end("a byte after all");
}

static void test_asked(void)
{
    static struct client other;

    begin_auto();
    other = (struct client){0};
    ask("GET /web/report");
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    script_backend[0].does = BACKEND_SERVES;
    script_ask(&other, "POST /web/b\nContent-Length: 2\n\nhi");
    script_run();
    is_str(script_got(&other), "200 pas2", "a POST does not go to the one that may be silent");
    script_ask(&other, "GET /web/c");
    script_run();
    is_str(script_got(&other), "200 pas1", "the next GET does");
    script_wait(10 * HEDGE_MS);
    is_int(script_backend[1].requests, 1,
           "it was served: a report, which is not sent twice, however long it takes");
    script_leave(&client);
    script_end("a report");

    begin_auto();
    other = (struct client){0};
    ask("GET /web/a");
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    script_ask(&other, "GET /web/b");
    script_run();
    is_int(script_backend[0].requests, 2, "the next GET goes there, and waits too");
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    is_str(script_got(&other), "200 pas2", "two are witnesses: the later one is hedged");
    script_wait(MORE_MS);
    is_str(script_got(&client), "200 pas2", "  and the earlier one with it");
    end_auto("two witnesses");

    /* A later request was served before the backend fell silent. */
    begin_auto();
    other = (struct client){0};
    ask("GET /web/a");
    script_wait(SILENCE_LEAST_MS + MORE_MS);
    script_backend[0].does = BACKEND_SERVES;
    script_ask(&other, "GET /web/b");
    script_wait(SILENCE_ASK_MS + MORE_MS);
    script_backend[0].does = BACKEND_WAITS;
    script_verdict(1, HEALTH_DOWN);
    script_ask(&other, "GET /web/c");
    script_run();
    script_verdict(1, HEALTH_UP);
    wait_silent();
    is_str(script_got(&other), "200 pas2", "silent from then on: what came later is hedged");
    script_wait(MORE_MS);
    is_str(script_got(&client), "200 pas2", "  and what had been taken for a report, too");
    end_auto("found silent later");
}

static void test_all_share(void)
{
    static struct client other;

    begin_auto();
    other = (struct client){0};
    script_backend[1].does = BACKEND_WAITS;
    ask("GET /web/a");
    script_ask(&other, "GET /web/b");
    wait_silent();
    is_int(script_backend[0].requests + script_backend[1].requests, 2,
           "what all share says nothing: no hedge");
    says(1, FROM("pas2"));
    is_str(script_got(&other), "200 pas2", "one of them responds");
    script_backend[1].does = BACKEND_SERVES;
    script_wait(HEDGE_MS);
    is_str(script_got(&client), "200 pas2",
           "  and has nothing else to do: it gets the other one");
    end_auto("all are silent");
}

static void test_connecting(void)
{
    begin_auto();
    script_accept_none(0);
    ask("GET /web/a");
    script_wait(SILENCE_LEAST_MS - MORE_MS);
    is_str(script_got(&client), "nothing...", "a connection does not open");
    script_wait(2 * MORE_MS);
    is_str(script_got(&client), "200 pas2", "  silence as well: hedged");
    is_int(script_in_flight(0), 0, "  nothing waits there: nothing was sent");
    ok(script_worker.backends[0].avoid_until_ms > script_worker.loop.now_ms,
       "  it is avoided for a moment");
    script_end("a connection that does not open");
}

/* The first one still connects when the second one fails. */
static void test_connecting_on(void)
{
    begin_auto();
    script_accept_none(0);
    script_backend[1].does = BACKEND_WAITS;
    ask("GET /web/a");
    script_wait(SCRIPT_CONNECT_MS - HEDGE_MS);
    is_int(script_backend[1].requests, 1, "a connection does not open: hedged");
    script_close(1);
    script_run();
    is_str(script_got(&client), "nothing...", "  the second attempt fails: it goes on");
    script_wait(HEDGE_MS - MORE_MS);
    is_str(script_faults(0), "", "  for the rest of its time");
    script_wait(2 * MORE_MS);
    is_str(script_faults(0), "timeout 1", "  and no longer");
    script_leave(&client);
    script_end("a connection that does not open in time");
}

int main(void)
{
    test_silence();
    test_asked();
    test_all_share();
    test_connecting();
    test_connecting_on();
    return done();
}
