/* What may be sent again, and what the client gets (docs/proxy.md, "Retries"): each kind of
 * failure of a backend with each kind of request, at a pool of two backends. */
#include "worker/proxy/retry.h"

#include <stdio.h>
#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"

enum { MORE_MS = 50 }; /* beyond a deadline: timers are served in slots of 16 ms */

/* ---- the requests */

enum asked { GET, PUT, POST, STREAMED, SESSION, APSV, KINDS };

static const struct {
    const char *name, *request;
    bool once; /* no two backends may get it, and none twice */
} asked[KINDS] = {
    [GET] = {"GET", "GET /web/a", false},
    [PUT] = {"PUT", "PUT /web/a\nContent-Length: 2\n\nhi", false},
    [POST] = {"POST", "POST /web/a\nContent-Length: 2\n\nhi", true},
    /* More than the request buffer: the rest is sent as it comes, and is not kept. */
    [STREAMED] = {"GET, streamed",
                  "GET /web/a\nContent-Length: 82\n\n"
                  "0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789",
                  true},
    [SESSION] = {"GET in a session", "GET /web/a\nCookie: JSESSIONID=abc.pas1", false},
    [APSV] = {"GET by APSV", "GET /apsv/a", true},
};

static struct client client;

static void ask(enum asked kind)
{
    script_ask(&client, asked[kind].request);
    if (kind == STREAMED)
        script_send(&client, "xy", true);
    script_run();
}

/* ---- the failures */

static void does(enum script_does what, const char *says)
{
    script_backend[0].does = what;
    script_backend[0].says = says;
    script_backend[0].times = 1;
}

/* Each backend has served a request, and its connection was kept. The next one whose turn it is
 * is pas1 again. */
static void keep_connections(void)
{
    struct client first = {0};

    for (int i = 0; i < 2; i++) {
        script_ask(&first, "GET /web/first");
        script_run();
    }
    script_backend[0].only_kept = true;
    script_backend[0].requests = script_backend[1].requests = 0;
    script_clients_end();
}

static void refuses(void)
{
    script_refuse(0);
}

static void accepts_none(void)
{
    script_accept_none(0);
}

static void closes(void)
{
    does(BACKEND_CLOSES, NULL);
}

static void resets(void)
{
    does(BACKEND_RESETS, NULL);
}

static void closes_kept(void)
{
    keep_connections();
    closes();
}

static void resets_kept(void)
{
    keep_connections();
    resets();
}

static void says_nonsense(void)
{
    does(BACKEND_SAYS, "nonsense\r\n\r\n");
}

static void cuts_head(void)
{
    does(BACKEND_SAYS_AND_CLOSES, "HTTP/1.1 200 OK\r\nContent-Le");
}

static void closes_after_interim(void)
{
    does(BACKEND_SAYS_AND_CLOSES, "HTTP/1.1 102 Processing\r\n\r\n");
}

static void cuts_short_body(void)
{
    does(BACKEND_SAYS_AND_CLOSES, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
}

static void stops_in_short_body(void)
{
    does(BACKEND_SAYS, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
}

static void cuts_chunked(void)
{
    does(BACKEND_SAYS_AND_CLOSES,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
}

static void resets_unbounded(void)
{
    does(BACKEND_SAYS_AND_RESETS, "HTTP/1.1 200 OK\r\n\r\nhalf");
}

static void waits(void)
{
    does(BACKEND_WAITS, NULL);
}

static void says_503(void)
{
    does(BACKEND_SAYS, "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy");
}

static void turns_down(void)
{
    script_verdict(0, HEALTH_DOWN);
}

/* ---- the table */

/* What the client gets. */
#define MOVES "200 pas2"       /* from the other backend */
#define AGAIN "200 pas1"       /* from the same one, by a second try */
#define FRESH "200 pas2"       /* on a fresh connection, from the backend whose turn it is */
#define R502  "502 of pasgate" /* it failed */
#define R504  "504 of pasgate" /* not in time */
#define CUT   "200 half (cut)" /* a response that is visibly incomplete */
#define BUSY  "503 busy"       /* the backend's own response */
#define WAITS "nothing..."     /* it goes on waiting */

struct failure {
    const char *name;
    void (*fails)(void);
    uint32_t wait_ms;   /* until the deadline that ends it; 0: it is seen at once */
    void (*then)(void); /* what happens while it waits */
    unsigned retry_on;  /* besides the default */
    const char *reason; /* in the log, of those that are retried */
    const char *faults; /* what is counted against pas1 */
    const char *got[KINDS];
};

/* clang-format off */
static const struct failure table[] = {
    /*                    GET    PUT    POST   streamed session APSV */
    {"connection refused", refuses, 0, NULL, 0, "connect", "connect 1",
                        {MOVES, MOVES, MOVES, MOVES,   MOVES,  MOVES}},
    {"not connected in time", accepts_none, SCRIPT_CONNECT_MS, NULL, 0, "connect", "timeout 1",
                        {MOVES, MOVES, MOVES, MOVES,   MOVES,  MOVES}},
    {"closed without a byte", closes, 0, NULL, 0, "empty", "reset 1",
                        {MOVES, R502,  R502,  R502,    AGAIN,  R502}},
    {"reset without a byte", resets, 0, NULL, 0, "empty", "reset 1",
                        {MOVES, R502,  R502,  R502,    AGAIN,  R502}},
    {"a kept connection is closed", closes_kept, 0, NULL, 0, "", "",
                        {FRESH, FRESH, R502,  R502,    AGAIN,  R502}},
    {"a kept connection is reset", resets_kept, 0, NULL, 0, "", "",
                        {FRESH, FRESH, R502,  R502,    AGAIN,  R502}},
    {"no HTTP", says_nonsense, 0, NULL, 0, "empty", "reset 1",
                        {MOVES, R502,  R502,  R502,    AGAIN,  R502}},
    {"closed in its head", cuts_head, 0, NULL, 0, "empty", "reset 1",
                        {MOVES, R502,  R502,  R502,    AGAIN,  R502}},
    {"closed after an interim response", closes_after_interim, 0, NULL, 0, "empty", "reset 1",
                        {MOVES, R502,  R502,  R502,    AGAIN,  R502}},
    {"a short body is cut", cuts_short_body, 0, NULL, 0, "cut", "cut 1",
                        {MOVES, CUT,   CUT,   CUT,     AGAIN,  CUT}},
    {"a short body stops", stops_in_short_body, SCRIPT_RESPONSE_IDLE_MS, NULL, 0, "cut",
     "timeout 1",
                        {MOVES, CUT,   CUT,   CUT,     AGAIN,  CUT}},
    {"a chunked body is cut", cuts_chunked, 0, NULL, 0, "", "cut 1",
                        {CUT,   CUT,   CUT,   CUT,     CUT,    CUT}},
    {"a body without length is reset", resets_unbounded, 0, NULL, 0, "", "cut 1",
                        {CUT,   CUT,   CUT,   CUT,     CUT,    CUT}},
    {"no first byte in time", waits, SCRIPT_FIRST_BYTE_MS, NULL, 0, "", "timeout 1",
                        {R504,  R504,  R504,  R504,    R504,   R504}},
    {"the same, retry_on timeout", waits, SCRIPT_FIRST_BYTE_MS, NULL, CONF_RETRY_TIMEOUT,
     "timeout", "timeout 1",
                        {MOVES, R504,  R504,  R504,    MOVES,  R504}},
    {"503", says_503, 0, NULL, 0, "", "",
                        {BUSY,  BUSY,  BUSY,  BUSY,    BUSY,   BUSY}},
    {"503, retry_on 503", says_503, 0, NULL, CONF_RETRY_503, "503", "",
                        {MOVES, BUSY,  BUSY,  BUSY,    BUSY,   BUSY}},
    {"down by verdict", waits, 0, turns_down, 0, "verdict", "",
                        {MOVES, WAITS, WAITS, WAITS,   MOVES,  WAITS}},
};
/* clang-format on */

static bool is_kept(const struct failure *f)
{
    return f->fails == closes_kept || f->fails == resets_kept;
}

static bool is_one_of(const char *got, const char *a, const char *b)
{
    return strcmp(got, a) == 0 || strcmp(got, b) == 0;
}

/* Who ended it, for the log. */
static const char *end_of(const struct failure *f, const char *got)
{
    if (is_one_of(got, MOVES, AGAIN) || is_one_of(got, BUSY, BUSY))
        return "done";
    return strcmp(got, WAITS) == 0 ? "client" : f->wait_ms ? "timeout" : "backend";
}

static void check_log(const char *name, const struct failure *f, const char *want)
{
    bool retried = is_one_of(want, MOVES, AGAIN);

    is_str(script_log_field("end"), end_of(f, want), "%s: who ended it", name);
    is_str(script_log_field("retried"), retried ? f->reason : "", "%s: why it was retried",
           name);
    is_str(script_log_field("attempts"), retried && *f->reason ? "2" : "1", "%s: attempts",
           name);
}

static void run_failure(const struct failure *f, enum asked kind)
{
    client = (struct client){0};
    script_start(2);
    f->fails();
    ask(kind);
    if (f->then)
        f->then();
    script_wait(f->wait_ms ? f->wait_ms + MORE_MS : 0);
}

static void test_failure(const struct failure *f, enum asked kind)
{
    const char *want = f->got[kind], *faults = f->faults;
    char name[128];

    snprintf(name, sizeof name, "%s: %s", f->name, asked[kind].name);
    script_defaults();
    script_route.retry |= f->retry_on;
    run_failure(f, kind);
    is_str(script_got(&client), want, "%s", name);
    /* That it was just closed is no fault of the backend, unless a client notices. */
    if (is_kept(f) && strcmp(want, R502) == 0)
        faults = "reset 1";
    is_str(script_faults(0), faults, "%s: what is counted", name);
    is_str(script_faults(1), "", "%s: nothing against the other one", name);
    if (asked[kind].once)
        ok(script_backend[0].requests + script_backend[1].requests == 1, "%s: sent once", name);
    script_leave(&client);
    check_log(name, f, want);
    script_end(name);
}

/* ---- there is nowhere to go */

static void other_is_down(void)
{
    script_verdict(1, HEALTH_DOWN);
}

static void other_is_drained(void)
{
    script_drain(1, DRAIN_GOES_ON);
}

static void other_is_on_probation(void)
{
    script_probation(1, CAUSE_FAILED);
}

static void no_retries(void)
{
    script_pool.retries = 0;
}

static void no_reason(void)
{
    script_route.retry = 0;
}

static const struct {
    const char *name;
    void (*before)(void), (*after)(void); /* the worker's start */
} nowhere[] = {
    {"the other one is down", NULL, other_is_down},
    {"retries = 0", no_retries, NULL},
    {"retry_on = none", no_reason, NULL},
};

static const struct {
    const char *name;
    void (*fails)(void);
    uint32_t wait_ms;
    const char *got;
} fails_for_good[] = {
    {"connection refused", refuses, 0, R502},
    {"not connected in time", accepts_none, SCRIPT_CONNECT_MS, R504},
    {"closed without a byte", closes, 0, R502},
    {"no HTTP", says_nonsense, 0, R502},
    {"a short body is cut", cuts_short_body, 0, CUT},
    {"no first byte in time", waits, SCRIPT_FIRST_BYTE_MS, R504},
    {"503", says_503, 0, BUSY},
};

static void test_nowhere(size_t i, size_t k)
{
    char name[128];

    snprintf(name, sizeof name, "%s, and %s", fails_for_good[k].name, nowhere[i].name);
    client = (struct client){0};
    script_defaults();
    script_route.retry |= CONF_RETRY_503 | CONF_RETRY_TIMEOUT;
    if (nowhere[i].before)
        nowhere[i].before();
    script_start(2);
    if (nowhere[i].after)
        nowhere[i].after();
    fails_for_good[k].fails();
    ask(GET);
    script_wait(fails_for_good[k].wait_ms ? fails_for_good[k].wait_ms + MORE_MS : 0);
    is_str(script_got(&client), fails_for_good[k].got, "%s", name);
    is_int(script_backend[1].requests, 0, "%s: the other one gets nothing", name);
    script_end(name);
}

static void test_last_resort(void)
{
    client = (struct client){0};
    script_defaults();
    script_start(2);
    other_is_drained();
    closes();
    ask(GET);
    is_str(script_got(&client), MOVES, "a drained backend is better than none");
    script_end("drained");

    client = (struct client){0};
    script_defaults();
    script_start(2);
    other_is_on_probation();
    closes();
    ask(GET);
    is_str(script_got(&client), MOVES, "so is one on probation");
    script_end("probation");
}

/* ---- several fail, one after another */

static void test_chain(void)
{
    client = (struct client){0};
    script_defaults();
    script_route.retry |= CONF_RETRY_503;
    script_start(4);
    for (int i = 0; i < 4; i++)
        script_backend[i].does = BACKEND_CLOSES;
    ask(GET);
    is_str(script_got(&client), R502, "four backends close: 502");
    is_str(script_log_field("attempts"), "3", "  after pool.retries, which is 2");
    is_int(script_backend[3].connections, 0, "  the fourth is not tried");
    script_end("closed by all");

    client = (struct client){0};
    script_start(3);
    refuses();
    script_backend[1].does = BACKEND_CLOSES;
    script_backend[2].does = BACKEND_WAITS;
    ask(GET);
    script_wait(SCRIPT_FIRST_BYTE_MS + MORE_MS);
    is_str(script_got(&client), R504, "the last failure is the one that is reported");
    is_str(script_log_field("retried"), "connect,empty", "  the log has the others");
    script_end("three failures");

    client = (struct client){0};
    script_start(2);
    says_503();
    script_backend[1].does = BACKEND_SAYS;
    script_backend[1].says = "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nold";
    ask(GET);
    is_str(script_got(&client), "503 old",
           "both respond 503: the last one's goes to the client");
    script_end("503 from both");

    client = (struct client){0};
    script_start(2);
    says_503();
    script_backend[1].does = BACKEND_CLOSES;
    ask(GET);
    is_str(script_got(&client), R502, "503, and the other one closes: 502");
    script_end("503 and closed");
}

static void test_session(void)
{
    client = (struct client){0};
    script_defaults();
    script_start(2);
    script_backend[0].does = BACKEND_CLOSES;
    ask(SESSION);
    is_str(script_got(&client), MOVES, "a session's backend fails twice: elsewhere");
    is_int(script_backend[0].requests, 2, "  it was tried twice");
    is_str(script_log_field("attempts"), "3", "  which are three attempts");
    script_end("a session's backend fails twice");

    client = (struct client){0};
    script_pool.retries = 1;
    script_start(2);
    script_backend[0].does = BACKEND_CLOSES;
    ask(SESSION);
    is_str(script_got(&client), MOVES, "with one retry only: elsewhere at once");
    script_end("a session with one retry");

    client = (struct client){0};
    script_defaults();
    script_start(2);
    waits();
    ask(SESSION);
    script_verdict(1, HEALTH_DOWN);
    script_verdict(0, HEALTH_DOWN);
    is_str(script_got(&client), WAITS, "its backend is down, and so is the other: it waits");
    script_verdict(1, HEALTH_UP);
    script_run();
    is_str(script_got(&client), MOVES, "  until the other one is up");
    script_end("all are down for a while");
}

int main(void)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (enum asked kind = 0; kind < KINDS; kind++)
            test_failure(&table[i], kind);
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        for (size_t k = 0; k < sizeof fails_for_good / sizeof *fails_for_good; k++)
            test_nowhere(i, k);
    test_last_resort();
    test_chain();
    test_session();
    return done();
}
