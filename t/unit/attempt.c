/* How a request gets to a backend: who waits for a slot and for how long, who gets it, what
 * counts as having none, and what happens when every backend is down. */
#include "worker/proxy/attempt.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "shm/cap.h"
#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/proxy/refresh.h"
#include "worker/upstream/fail_open.h"

enum { CLIENTS = 6, MORE_MS = 50, HEDGE_MS = 500 };

#define FROM(name) "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" name
#define SESSION    "\nCookie: JSESSIONID=abc.pas1"

static struct client at[CLIENTS]; /* clients */

/* n backends that wait, each with one slot. */
static void begin(uint32_t n)
{
    memset(at, 0, sizeof at);
    for (uint32_t i = 0; i < n; i++)
        script_conf_backend[i].max_in_flight = 1;
    script_start(n);
    for (uint32_t i = 0; i < n; i++)
        script_backend[i].does = BACKEND_WAITS;
}

static void ask(int i, const char *request)
{
    script_ask(&at[i], request);
    script_run();
}

static void says(uint32_t backend, const char *bytes)
{
    script_say(backend, bytes);
    script_run();
}

/* 'q' waits in the queue, 'r' runs at a backend, '.' is over, for each client. */
static const char *where(int n)
{
    static char text[CLIENTS + 1];

    memset(text, 0, sizeof text);
    for (int i = 0; i < n; i++)
        text[i] = !at[i].transport.exchange                ? '.'
                  : at[i].transport.exchange->waiter.queue ? 'q'
                                                           : 'r';
    return text;
}

static void leave_all(void)
{
    for (int i = 0; i < CLIENTS; i++)
        script_leave(&at[i]);
}

static const struct worker_backend *cell(uint32_t i)
{
    return script_worker.backends[i].cell;
}

/* ---- the queue */

static void test_order(void)
{
    script_defaults();
    begin(1);
    for (int i = 0; i < 4; i++)
        ask(i, "GET /web/a");
    is_str(where(4), "rqqq", "one slot: one runs, the others wait");
    is_int(script_backend[0].requests, 1, "  the backend has one request");
    script_move_clock(1000000);
    says(0, FROM("pas1"));
    is_str(where(4), ".rqq", "it is over: the one that waits longest gets the slot");
    is_str(script_log_field("queue_us"), "", "  the first one never waited");
    script_leave(&at[2]);
    is_str(where(4), ".r.q", "one that waits goes away");
    script_leave(&at[1]);
    script_run();
    is_str(where(4), "...r", "one that runs goes away: the next one gets its slot");
    says(0, FROM("pas1"));
    is_str(script_log_field("queue_us"), "1000000", "  the log has how long it waited");
    script_end("the order");
}

static void test_delivering(void)
{
    script_defaults();
    begin(1);
    at[0].takes = 2;
    ask(0, "GET /web/a");
    ask(1, "GET /web/b");
    says(0, FROM("pas1"));
    is_str(where(2), "rr", "a response that its client still reads has no slot any more");
    script_read_on(&at[0]);
    is_str(script_got(&at[0]), "200 pas1", "  it is over when all is read");
    says(0, FROM("pas1"));
    script_end("delivering");
}

static void test_limits(void)
{
    script_defaults();
    script_pool.queue.size = 2;
    begin(1);
    for (int i = 0; i < 4; i++)
        ask(i, "GET /web/a");
    is_str(where(4), "rqq.", "queue.size: two wait, the third does not");
    is_str(script_got(&at[3]), "503 of pasgate", "  it gets 503 at once");
    is_int(count_read(&cell(0)->queue_full), 1, "  which is counted");
    is_str(script_log_field("end"), "proxy", "  the log: pasgate refused it");
    script_wait(SCRIPT_QUEUE_MS - MORE_MS);
    is_str(where(3), "rqq", "until queue.timeout they wait");
    script_wait(2 * MORE_MS);
    is_str(where(3), "r..", "  and no longer");
    is_str(script_got(&at[1]), "503 of pasgate", "  then it is 503");
    is_int(count_read(&cell(0)->queue_timeouts), 2, "  which is counted");
    is_str(script_log_field("end"), "timeout", "  the log: in time");
    leave_all();
    script_end("the limits");

    script_defaults();
    script_pool.queue.size = 0;
    begin(1);
    ask(0, "GET /web/a");
    ask(1, "GET /web/b");
    is_str(script_got(&at[1]), "503 of pasgate", "queue.size = 0: nobody waits");
    leave_all();
    script_end("no queue");
}

/* Whatever ends in an event, those that wait are called after it
 * (worker/upstream/wait_queue.h).
 */
static void test_not_within(void)
{
    script_defaults();
    begin(1);
    for (int i = 0; i < 3; i++)
        ask(i, "POST /web/a");
    script_leave(&at[0]);
    is_str(where(3), ".qq", "one ends in an event: nobody is called from within");
    script_ask(&at[3], "POST /web/b");
    is_str(where(4), ".qqq", "  a new one in the same event does not overtake those that wait");
    script_run();
    is_str(where(4), ".rqq", "  after it, the oldest one gets the slot");
    leave_all();
    script_end("nobody from within");

    script_defaults();
    begin(2);
    ask(0, "POST /web/a" SESSION);
    ask(1, "GET /web/b" SESSION);
    is_str(where(2), "rq", "one that waits for its own backend");
    script_drain(0, DRAIN_CUT);
    is_str(where(2), ".q", "another one ends in the event of a verdict: not from within");
    script_run();
    is_str(where(2), ".r", "  after it, the one that waits goes on");
    is_int(script_backend[1].requests, 1, "  elsewhere");
    leave_all();
    script_end("an end within a verdict");
}

/* The attempt that loses a hedge gives its slot back while a response is being read. */
static void test_no_overtaking(void)
{
    script_defaults();
    script_route.hedge_after_ms = HEDGE_MS;
    begin(2);
    ask(0, "GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
    ask(1, "POST /web/b");
    is_str(where(2), "rq", "a hedge has both slots: another one waits");
    says(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    is_str(where(2), "rr", "one attempt has won: the other one's slot goes to that");
    ask(2, "POST /web/c");
    is_str(where(3), "rrq", "  and not to a new request");
    leave_all();
    script_end("no overtaking");

    script_defaults();
    begin(1);
    ask(0, "POST /web/a");
    ask(1, "POST /web/b");
    cap_release(script_worker.table, 0, 0, 1); /* as if in another worker, which tells nobody */
    ask(2, "POST /web/c");
    is_str(where(3), "rqq", "a slot that nobody was told of: a new request does not take it");
    script_wait(WAIT_QUEUE_LOOK_MS + MORE_MS);
    is_str(where(3), "rrq", "  but the one that waits, when it looks");
    cap_acquire(script_worker.table, &script_worker.live, 0, 0, 2);
    leave_all();
    script_end("a slot that nobody was told of");
}

/* The loads are read once in a millisecond; but nobody waits because of an old one. */
static void test_old_loads(void)
{
    struct table *table;

    script_defaults();
    begin(2);
    table = script_worker.table;
    script_run();
    script_worker.live = (struct cap_rows){.rows = {0, 1}, .n = 2};
    cap_acquire(table, &script_worker.live, 1, 0, 1);
    ask(0, "GET /web/a");
    is_int(script_in_flight(1), 1, "another worker has a slot: a request goes elsewhere");
    cap_release(table, 1, 0, 1);
    ask(1, "GET /web/b");
    is_str(where(2), "rr", "  it is released in the same millisecond: another one gets it");
    ask(2, "GET /web/c");
    is_str(where(3), "rrq", "  a third one waits");
    leave_all();
    script_end("old loads");
}

/* Each attempt may wait as long as the first one. */
static void test_second_wait(void)
{
    script_defaults();
    begin(2);
    for (int i = 0; i < 3; i++)
        ask(i, "GET /web/a");
    script_wait(SCRIPT_QUEUE_MS - MORE_MS);
    script_leave(&at[0]);
    script_run();
    is_str(where(3), ".rr", "one has waited almost until queue.timeout, and runs");
    script_close(0);
    script_run();
    is_str(where(3), ".rq", "  its backend fails it, and it waits for the other one");
    script_wait(SCRIPT_QUEUE_MS - MORE_MS);
    is_str(where(3), ".rq", "  as long as before");
    script_wait(2 * MORE_MS);
    is_str(script_got(&at[2]), "502 of pasgate", "  then it gets the failure");
    leave_all();
    script_end("a second wait");
}

static void test_sessions(void)
{
    script_defaults();
    begin(2);
    ask(0, "GET /web/a" SESSION);
    ask(1, "GET /web/b" SESSION);
    is_str(where(2), "rq", "a session waits for its own backend");
    ask(2, "GET /web/c");
    is_str(where(3), "rqr", "  others do not wait for it");
    is_int(script_backend[1].requests, 1, "  they go to the other one");
    script_verdict(0, HEALTH_DOWN);
    script_run();
    is_str(where(3), "qqr", "its backend is down: both wait for any other");
    says(1, FROM("pas2"));
    is_int(script_backend[1].requests, 2, "  and get it");
    leave_all();
    script_end("sessions");

    script_defaults();
    begin(2);
    ask(0, "GET /web/a" SESSION);
    script_drain(0, DRAIN_GOES_ON);
    ask(1, "GET /web/b" SESSION);
    is_str(where(2), "rq", "a drained backend still serves its sessions");
    ask(2, "GET /web/c");
    says(0, FROM("pas1"));
    is_int(script_backend[0].requests, 2, "  one after another");
    is_int(script_backend[1].requests, 1, "  others go elsewhere");
    leave_all();
    script_end("a drain");
}

static void test_unknown(void)
{
    script_defaults();
    begin(1);
    script_verdict(0, HEALTH_UNKNOWN);
    ask(0, "GET /web/a");
    is_str(where(1), "q", "before the first verdict a request waits");
    script_verdict(0, HEALTH_UP);
    script_run();
    is_str(where(1), "r", "  for that");
    leave_all();
    script_end("no verdict yet");

    script_defaults();
    begin(2);
    script_verdict(0, HEALTH_UNKNOWN);
    ask(0, "GET /web/a" SESSION);
    is_str(where(1), "q", "a session waits for the first verdict on its backend");
    script_wait(SCRIPT_QUEUE_MS + MORE_MS);
    is_int(script_backend[1].requests, 1, "  until queue.timeout, then it goes elsewhere");
    leave_all();
    script_end("no verdict for a session");
}

/* ---- all are down */

static void all_down(enum conf_fail_open mode)
{
    script_defaults();
    script_pool.fail_open = mode;
    memset(at, 0, sizeof at);
    script_start(2);
    script_backend[0].does = script_backend[1].does = BACKEND_WAITS;
    script_verdict(0, HEALTH_DOWN);
    script_verdict(1, HEALTH_DOWN);
}

static void test_all_down(void)
{
    all_down(CONF_FAIL_OPEN_OFF);
    ask(0, "GET /web/a");
    is_str(script_got(&at[0]), "503 of pasgate", "all are down, fail_open off: 503");
    is_int(script_backend[0].connections + script_backend[1].connections, 0,
           "  without a connection");
    script_end("fail_open off");

    all_down(CONF_FAIL_OPEN_ALL);
    ask(0, "GET /web/a");
    ask(1, "GET /web/b");
    is_str(where(2), "rr", "fail_open all: they are sent all the same");
    leave_all();
    script_end("fail_open all");

    all_down(CONF_FAIL_OPEN_ONE);
    ask(0, "GET /web/a");
    ask(1, "GET /web/b");
    is_str(where(2), "r.", "fail_open one: one tries");
    is_str(script_got(&at[1]), "503 of pasgate", "  the others get 503");
    says(0, FROM("pas1"));
    is_str(script_got(&at[0]), "200 pas1", "  its response is good");
    ask(2, "GET /web/c");
    ask(3, "GET /web/d");
    is_str(where(4), "..rr", "  which opens that backend to all");
    is_int(script_backend[0].requests, 3, "  and not the other one");
    script_close(0);
    script_run();
    ask(4, "GET /web/e");
    is_str(where(5), "..rr.", "a fault closes it: the one that failed tries the other one");
    is_str(script_got(&at[4]), "503 of pasgate", "  and others get 503 again");
    leave_all();
    script_end("fail_open one");

    all_down(CONF_FAIL_OPEN_ONE);
    ask(0, "GET /web/a");
    says(0, FROM("pas1"));
    script_wait(FAIL_OPEN_MS + MORE_MS);
    ask(1, "GET /web/b");
    ask(2, "GET /web/c");
    is_str(where(3), ".r.", "after a while one tries again");
    leave_all();
    script_end("it is open for a while");
}

static void takes_out(enum admin_state override, enum recovery_state heal)
{
    const struct admin_row row = {.override = (uint8_t) override, .heal = (uint8_t)heal};

    admin_publish(&script_worker.table->admin[0], &row);
    refresh_backends(&script_worker);
}

/* Who took all backends out is logged, and logged again when that changes. */
static void test_outage(void)
{
    char text[4096];
    int to[2], lines = 0;
    ssize_t n;

    script_defaults();
    script_start(1);
    ok(pipe(to) == 0, "a log");
    log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, "script");
    log_to_fd(to[1]);
    takes_out(ADMIN_READY, RECOVERY_RESTARTING);
    takes_out(ADMIN_READY, RECOVERY_VERIFYING);
    takes_out(ADMIN_MAINT, RECOVERY_VERIFYING);
    takes_out(ADMIN_MAINT, RECOVERY_NONE);
    log_to_fd(2);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "script");
    close(to[1]);
    n = read(to[0], text, sizeof text - 1);
    close(to[0]);
    text[n > 0 ? n : 0] = '\0';
    for (const char *p = text; (p = strstr(p, " are in maintenance")); p++)
        lines++;
    is_int(lines, 2, "all are out: who did it is logged once for each");
    ok(strstr(text, "in maintenance, drained or restarted: "), "  a restart at first");
    ok(strstr(text, "in maintenance or drained, by operators: "), "  then operators");
    takes_out(ADMIN_READY, RECOVERY_NONE);
    script_end("who took all backends out");
}

static void test_down_meanwhile(void)
{
    script_defaults();
    script_pool.fail_open = CONF_FAIL_OPEN_ONE;
    begin(1);
    for (int i = 0; i < 3; i++)
        ask(i, "POST /web/a");
    script_verdict(0, HEALTH_DOWN);
    is_str(where(3), "rqq", "the only backend is down while two wait for its slot");
    script_leave(&at[0]);
    script_run();
    is_str(where(3), ".r.", "it is free: one tries, the other one does not wait for that");
    is_str(script_got(&at[2]), "503 of pasgate", "  and gets 503");
    says(0, FROM("pas1"));
    is_str(script_got(&at[1]), "200 pas1", "  the one that tried is served");
    script_end("down meanwhile");
}

/* ---- a lack of resources on this host */

static void test_lack(void)
{
    script_defaults();
    begin(2);
    script_worker.max_upstreams = 0;
    ask(0, "GET /web/a");
    is_str(script_got(&at[0]), "503 of pasgate", "no descriptor is left: 503");
    is_str(script_faults(0), "", "  which says nothing about the backend");
    script_end("no descriptors");

    script_defaults();
    script_conf.limits.memory = 1000;
    begin(2);
    ask(0, "GET /web/a");
    is_str(script_got(&at[0]), "503 of pasgate", "no memory is left: 503");
    is_int(count_read(&script_worker.row->memory_refused), 1, "  which is counted");
    script_end("no memory");
}

/* ---- bodies that are being collected */

#define UPLOAD(bytes) "POST /web/a\nContent-Length: 50\n\n" bytes

static void test_slow_bodies(void)
{
    enum { EACH = WORKER_HEAD_BUFFER + WORKER_REQUEST_BUFFER };

    script_defaults();
    script_conf.limits.memory = 2 * 2 * EACH + EACH;
    begin(2);
    ask(0, UPLOAD("as much of it"));
    ask(1, UPLOAD("less"));
    is_str(where(2), "rr", "two bodies fill their half of the memory");
    is_int(atomic_load(&script_worker.row->bodies_full_ms), 0, "  which is not worth telling");
    ask(2, UPLOAD("a third one, that sends most"));
    is_str(where(3), "r.r", "a third one: the slowest one ends");
    is_str(script_got(&at[1]), "408 of pasgate", "  with 408");
    is_str(script_log_field("detail"),
           "the slowest request body made room for others (limits.memory)",
           "  and the log says why");
    ok(atomic_load(&script_worker.row->bodies_full_ms), "  as the status does");
    script_conf.limits.memory = (uint32_t)script_worker.buffered;
    ask(3, "GET /web/a");
    is_str(where(4), "..rr",
           "a request without a body needs memory: again the slowest one ends");
    is_str(script_got(&at[0]), "408 of pasgate", "  with 408");
    is_int(count_read(&script_worker.row->memory_refused), 0, "  and no request is refused");
    is_int(count_read(&script_worker.row->slow_bodies), 2, "  two slow bodies are counted");
    script_send(&at[2], "its last bytes", true);
    script_run();
    is_int(script_worker.collecting_bytes, 0,
           "the last one is whole: it holds no memory as one");
    leave_all();
    script_end("slow bodies");
}

int main(void)
{
    test_order();
    test_delivering();
    test_limits();
    test_not_within();
    test_no_overtaking();
    test_old_loads();
    test_second_wait();
    test_sessions();
    test_unknown();
    test_all_down();
    test_outage();
    test_down_meanwhile();
    test_slow_bodies();
    test_lack();
    return done();
}
