/* Two attempts at one request: when the second one begins, which one decides, and what becomes
 * of the other; and probation requests, whose lost attempt goes on waiting without a client. */
#include "worker/proxy/hedge.h"

#include <string.h>

#include "t/unit/hedged.h"
#include "t/unit/script/script.h"

/* ---- which one decides */

static void test_first_byte(void)
{
    begin();
    ask("GET /web/a");
    script_wait(HEDGE_MS - MORE_MS);
    is_int(script_backend[1].connections, 0, "one attempt until the delay is over");
    script_wait(2 * MORE_MS);
    is_str(script_got(&client), "200 pas2", "then a second one, whose first byte decides");
    is_int(script_in_flight(0) + script_in_flight(1), 0, "  both slots are free");
    is_int(script_open(0), 0, "  the first one's connection is closed");
    is_str(script_faults(0), "", "  which is no fault of its backend");
    is_int(completed(0), 0, "  and no success");
    is_str(script_log_field("raced"), "true", "  the log says that there were two");
    is_str(script_log_field("attempts"), "2", "  and counts them");
    script_end("the second one decides");

    begin_hedged();
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "the first one may still decide");
    is_int(script_open(1), 0, "  the second one is closed");
    is_int(script_in_flight(1), 0, "  and its slot is free");
    script_end("the first one decides");

    begin_hedged();
    says(1, "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy");
    is_str(script_got(&client), "503 busy", "any response decides");
    script_end("an error response decides");

    begin();
    ask("GET /web/a");
    says(0, "HTTP/1.1 200 OK\r\nContent-Le");
    script_wait(HEDGE_MS + MORE_MS);
    is_int(script_backend[1].requests, 0, "a response that has begun is not hedged any more");
    says(0, "ngth: 4\r\n\r\npas1");
    is_str(script_got(&client), "200 pas1", "  and goes on");
    script_end("a part before the hedge");

    begin_hedged();
    says(1, "HTTP/1.1 200 OK\r\nContent-Le");
    is_int(script_open(0), 0, "so does the first part of a head");
    says(1, "ngth: 4\r\n\r\npas2");
    is_str(script_got(&client), "200 pas2", "  which goes on");
    script_end("a part decides");
}

/* ---- one of them fails */

static void test_failures(void)
{
    begin_hedged();
    script_close(0);
    script_run();
    is_str(script_got(&client), "nothing...", "the first one fails: the second one goes on");
    is_str(script_faults(0), "reset 1", "  and that counts");
    is_int(script_in_flight(0), 0, "  its slot is free");
    says(1, FROM("pas2"));
    is_str(script_got(&client), "200 pas2", "  and serves");
    script_end("the first one fails");

    begin_hedged();
    script_reset(1);
    script_run();
    is_str(script_got(&client), "nothing...", "the second one fails: the first one goes on");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  and serves");
    script_end("the second one fails");

    begin();
    script_refuse(1);
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
    is_str(script_faults(1), "connect 1", "the second one is refused");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  the first one serves");
    script_end("the second one is refused");

    begin();
    script_pool.retries = 1;
    script_backend[1].does = BACKEND_CLOSES;
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
    script_close(0);
    script_run();
    is_str(script_got(&client), "502 of pasgate", "both fail: 502");
    script_end("both fail");

    begin();
    script_backend[1].does = BACKEND_CLOSES;
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
    script_close(0);
    script_run();
    is_str(script_got(&client), "502 of pasgate", "both fail, and a third attempt is allowed");
    is_int(script_backend[1].requests, 1, "  which does not go where the second one failed");
    script_end("both fail, no third backend");
}

static void test_deadline(void)
{
    begin_hedged();
    script_wait(SCRIPT_FIRST_BYTE_MS - HEDGE_MS - 3 * MORE_MS);
    is_str(script_got(&client), "nothing...", "both have the first one's deadline");
    script_wait(4 * MORE_MS);
    is_str(script_got(&client), "504 of pasgate", "  and end with it");
    is_str(script_faults(0), "timeout 1", "  which counts against the first one");
    is_str(script_faults(1), "", "  and not against the second one");
    script_end("the deadline");
}

static void test_verdicts(void)
{
    begin_hedged();
    script_drain(0, DRAIN_CUT);
    is_int(script_in_flight(0), 0, "a drain of the first one has timed out: it is closed");
    says(1, FROM("pas2"));
    is_str(script_got(&client), "200 pas2", "  the second one serves");
    script_end("a drain of the first one");

    begin_hedged();
    script_pool.retries = 1; /* there would be no third attempt */
    script_drain(1, DRAIN_CUT);
    is_int(script_in_flight(1), 0, "the same of the second one");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  the first one serves");
    script_end("a drain of the second one");

    begin_hedged();
    script_verdict(1, HEALTH_DOWN);
    script_run();
    is_str(script_got(&client), "nothing...", "the second one is down: the first one goes on");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  and serves");
    script_end("the second one is down");

    begin_hedged();
    script_verdict(0, HEALTH_DOWN);
    script_verdict(1, HEALTH_DOWN);
    script_run();
    is_str(script_got(&client), "nothing...", "both are down: it waits for what comes");
    says(1, FROM("pas2"));
    is_str(script_got(&client), "200 pas2", "  and takes it");
    script_end("both are down");
}

/* The second attempt uses a kept connection. */
static void begin_kept(enum script_does does)
{
    begin();
    script_verdict(0, HEALTH_DOWN);
    ask("GET /web/kept");
    script_verdict(0, HEALTH_UP);
    script_backend[1].does = does;
    script_backend[1].only_kept = true;
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
}

static void test_stale(void)
{
    begin_kept(BACKEND_CLOSES);
    is_int(script_backend[1].connections, 2, "the second one's kept connection was closed");
    is_str(script_got(&client), "200 pas2", "  a fresh one serves");
    is_str(script_faults(1), "", "  which is no fault of its backend");
    is_str(script_log_field("attempts"), "2", "  and the same second attempt");
    is_int(hedges(0), 1, "  of one hedge");
    script_end("a stale connection");

    begin_kept(BACKEND_WAITS);
    script_refuse(1);
    script_close(1);
    script_run();
    is_str(script_got(&client), "nothing...", "no fresh one opens: the first one goes on");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  and serves");
    is_str(script_faults(1), "connect 1", "  which is a fault of its backend");
    script_end("a stale connection and no fresh one");
}

/* ---- who is hedged */

static const struct {
    const char *name, *request;
    bool hedged;
} kinds[] = {
    {"GET", "GET /web/a", true},
    {"HEAD", "HEAD /web/a", true},
    {"PUT", "PUT /web/a\nContent-Length: 2\n\nhi", false},
    {"POST", "POST /web/a\nContent-Length: 2\n\nhi", false},
    {"an unknown method", "PROPFIND /web/a", false},
    {"APSV", "GET /apsv/a", false},
    {"a session", "GET /web/a\nCookie: JSESSIONID=abc.pas1", false},
    {"an upgrade",
     "GET /web/a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
     false},
    {"credentials of a connection", "GET /web/a\nAuthorization: NTLM abc", false},
};

static void test_kinds(void (*begin_it)(void))
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        begin_it();
        ask(kinds[i].request);
        script_wait(HEDGE_MS + MORE_MS);
        script_wait(HEDGE_MS + MORE_MS);
        is_int(script_backend[1].requests, kinds[i].hedged, "%s: %s", kinds[i].name,
               kinds[i].hedged ? "hedged" : "never hedged");
        script_leave(&client);
        script_verdict(0, HEALTH_DOWN);
        script_run();
        script_end(kinds[i].name);
    }
}

static void test_scarce(void)
{
    static struct client crowd[5];

    begin();
    script_pool.retries = 0;
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
    is_int(script_backend[1].requests, 0, "retries = 0: no second attempt");
    script_leave(&client);
    script_end("no retries");

    script_defaults();
    script_route.hedge_after_ms = HEDGE_MS;
    script_conf_backend[1].max_in_flight = 1;
    start(2);
    script_backend[1].does = BACKEND_WAITS;
    memset(crowd, 0, sizeof crowd);
    ask("GET /web/a");
    script_ask(&crowd[0], "POST /web/takes-the-slot");
    script_wait(HEDGE_MS + MORE_MS);
    is_int(script_backend[1].requests, 1, "no slot elsewhere: no second attempt");
    says(1, FROM("pas2"));
    script_backend[1].does = BACKEND_SERVES;
    script_wait(2 * SILENCE_AGAIN_MS);
    is_str(script_got(&client), "200 pas2", "  until there is one");
    script_end("no slot");

    begin();
    script_verdict(1, HEALTH_DOWN);
    script_backend[1].does = BACKEND_WAITS;
    memset(crowd, 0, sizeof crowd);
    for (int i = 0; i < 5; i++)
        script_ask(&crowd[i], "GET /web/a");
    script_run();
    script_verdict(1, HEALTH_UP);
    script_wait(HEDGE_MS + MORE_MS);
    is_int(script_backend[1].requests, 3, "five are silent: three second attempts at a time");
    says(1, FROM("pas2"));
    script_wait(2 * SILENCE_AGAIN_MS);
    is_int(script_backend[1].requests, 4, "  one of which makes room for another");
    for (int i = 0; i < 5; i++)
        script_leave(&crowd[i]);
    script_end("the budget");
}

/* ---- probation */

/* A request at the backend on probation lost its hedge to the other one: it is detached. */
static void begin_detached(void)
{
    script_defaults();
    start(2);
    script_probation(0, CAUSE_FAILED);
    ask("GET /web/a");
    script_wait(ATTEMPT_HEDGE_PROBATION_MS + MORE_MS);
}

static void test_probation(void)
{
    const struct worker_backend *cell;

    begin_detached();
    cell = script_worker.backends[0].cell;
    is_str(script_got(&client), "200 pas2", "a probation request that waits is hedged");
    is_str(detached(), "waits", "  its attempt goes on without the client");
    is_int(script_in_flight(0), 1, "  and keeps its slot");
    is_int(count_read(&cell->detached), 1, "  it is counted");
    script_ask(&client, "GET /web/b");
    script_run();
    is_str(script_got(&client), "200 pas2", "no second probation request meanwhile");
    says(0, FROM("pas1"));
    is_str(detached(), "gone", "a byte comes: slow, and nothing worse");
    is_int(count_read(&cell->probation_unanswered), 0, "  it is not mute");
    is_str(script_faults(0), "", "  and has no failure");
    ok(script_worker.backends[0].probation_hedge_ms > ATTEMPT_HEDGE_PROBATION_MS,
       "  the next one gets more time");
    script_end("a slow one");

    begin_detached();
    script_close(0);
    script_run();
    is_str(detached(), "gone", "it closes instead");
    is_str(script_faults(0), "reset 1", "  a failure like any other");
    script_end("one that closes");

    begin_detached();
    cell = script_worker.backends[0].cell;
    script_wait(SCRIPT_HANG_MS - ATTEMPT_HEDGE_PROBATION_MS - 2 * MORE_MS);
    is_str(detached(), "waits", "it is silent until the hang timeout");
    script_wait(4 * MORE_MS);
    is_str(detached(), "gone", "  and no longer");
    is_int(count_read(&cell->probation_unanswered), 1, "  it is mute");
    script_end("one that hangs");

    begin_detached();
    script_verdict(0, HEALTH_DOWN);
    is_str(detached(), "gone", "it is down by verdict");
    script_end("one that is down");

    begin_detached();
    script_drain(0, DRAIN_CUT);
    is_str(detached(), "gone", "its drain has timed out");
    script_end("one that is drained");

    begin_detached();
    script_stop();
    is_str(detached(), "gone", "pasgate stops");
    script_end("one at the end");
}

static void test_rescue(void)
{
    script_defaults();
    start(2);
    ask("GET /web/a");
    script_hedge_all(0);
    is_str(script_got(&client), "nothing...", "a silent backend: nothing happens at once");
    script_wait(MORE_MS);
    is_str(script_got(&client), "200 pas2", "  but what waits there is hedged without a delay");
    script_end("hedge_all");

    script_defaults();
    start(2);
    ask("POST /web/a\nContent-Length: 2\n\nhi");
    script_hedge_all(0);
    script_wait(MORE_MS);
    is_str(script_got(&client), "nothing...", "a POST stays");
    is_int(script_backend[1].requests, 0, "  it is not sent twice");
    script_leave(&client);
    script_end("hedge_all and a POST");
}

/* ---- the permit to try a pool that is down */

static void test_permit(void)
{
    static struct client other;

    script_defaults();
    script_route.hedge_after_ms = HEDGE_MS;
    script_route.retry = 0;
    script_pool.fail_open = CONF_FAIL_OPEN_ONE;
    start(2);
    other = (struct client){0};
    script_verdict(0, HEALTH_DOWN);
    script_verdict(1, HEALTH_DOWN);
    ask("GET /web/a");
    script_verdict(1, HEALTH_UP);
    script_backend[1].does = BACKEND_CLOSES;
    script_wait(HEDGE_MS + MORE_MS);
    is_int(script_backend[1].requests, 1, "one that tries a pool that is down is hedged");
    is_str(script_got(&client), "nothing...", "  the second attempt fails: it still tries");
    script_verdict(1, HEALTH_DOWN);
    script_ask(&other, "GET /web/b");
    script_run();
    is_str(script_got(&other), "503 of pasgate", "  and no other one tries meanwhile");
    is_int(script_in_flight(0), 1, "  one request is there");
    says(0, FROM("pas1"));
    is_str(script_got(&client), "200 pas1", "  it is served");
    script_end("the permit of a hedged exchange");
}

int main(void)
{
    test_first_byte();
    test_failures();
    test_deadline();
    test_verdicts();
    test_kinds(begin);
    test_kinds(begin_auto);
    test_scarce();
    test_probation();
    test_rescue();
    test_permit();
    test_stale();
    return done();
}
