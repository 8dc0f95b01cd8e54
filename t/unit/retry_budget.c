/* The retry budget: many requests fail at once, and only a few may be at a second backend at a
 * time (worker/proxy/retry_budget.h). */
#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"

enum { CROWD = 8, MORE_MS = 50 };

static struct client crowd[CROWD];

/* All of them wait at pas1, where all_fail() fails them. Those that are retried wait at
 * pas2. */
static void crowd_at_pas1(void (*all_fail)(void))
{
    memset(crowd, 0, sizeof crowd);
    script_defaults();
    script_start(2);
    script_verdict(1, HEALTH_DOWN);
    script_backend[0].does = BACKEND_WAITS;
    script_backend[1].does = BACKEND_WAITS;
    for (int i = 0; i < CROWD; i++)
        script_ask(&crowd[i], "GET /web/crowd");
    script_run();
    script_verdict(1, HEALTH_UP);
    all_fail();
    script_run();
}

static void turns_down(void)
{
    script_verdict(0, HEALTH_DOWN);
}

static void crowd_fails(void)
{
    for (int i = 0; i < CROWD; i++)
        script_close(0);
}

static unsigned crowd_got(const char *what)
{
    unsigned n = 0;

    for (int i = 0; i < CROWD; i++)
        n += strcmp(script_got(&crowd[i]), what) == 0;
    return n;
}

static void test_budget(void)
{
    crowd_at_pas1(crowd_fails);
    is_int(script_backend[1].requests, 3, "eight fail at once: three retries at a time");
    is_int(crowd_got("nothing..."), CROWD, "  the others wait");
    script_say(1, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npas2");
    script_run();
    is_int(crowd_got("200 pas2"), 1, "one is served");
    is_int(script_backend[1].requests, 4, "  and its place in the budget goes to the next");
    script_wait(SCRIPT_QUEUE_MS + MORE_MS);
    is_int(crowd_got("502 of pasgate"), 4, "after queue.timeout the others get their failure");
    for (int i = 0; i < CROWD; i++)
        script_leave(&crowd[i]);
    script_end("the budget");
}

static void test_response(void)
{
    crowd_at_pas1(crowd_fails);
    script_say(1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    script_run();
    is_int(script_backend[1].requests, 4,
           "a response that has begun is no retry any more: the next one runs");
    for (int i = 0; i < CROWD; i++)
        script_leave(&crowd[i]);
    script_end("a response and the budget");
}

static void test_verdict(void)
{
    crowd_at_pas1(turns_down);
    is_int(script_backend[1].requests, 3, "eight are moved by a verdict: three at a time");
    script_wait(SCRIPT_QUEUE_MS + MORE_MS);
    is_int(script_backend[1].requests, CROWD,
           "after queue.timeout the others run beyond the budget");
    for (int i = 0; i < CROWD; i++)
        script_leave(&crowd[i]);
    script_end("a verdict and the budget");
}

/* Two backends were asked, and the second one responds with this status. */
static void asked_again(struct pool_view *pool, unsigned status)
{
    const struct exchange x = {.pool = pool};

    retry_budget_result(&x, status);
}

static void test_useless(void)
{
    static struct worker worker;
    struct pool_view pool = {.worker = &worker};

    worker.loop.now_ms = 1000000;
    ok(retry_budget_helps(&pool), "nothing known: a retry may help");
    asked_again(&pool, 500);
    asked_again(&pool, 500);
    ok(retry_budget_helps(&pool), "two were useless");
    asked_again(&pool, 500);
    ok(!retry_budget_helps(&pool), "three in a row");
    asked_again(&pool, 200);
    ok(retry_budget_helps(&pool), "one that helped");
    for (int i = 0; i < RETRIES_USELESS; i++)
        asked_again(&pool, 503);
    worker.loop.now_ms += RETRIES_USELESS_MS;
    ok(!retry_budget_helps(&pool), "what was learnt holds for a while");
    worker.loop.now_ms++;
    ok(retry_budget_helps(&pool), "but an old failure says nothing about this one");
    asked_again(&pool, 500);
    asked_again(&pool, 500);
    ok(retry_budget_helps(&pool), "it is learnt anew");
    asked_again(&pool, 500);
    ok(!retry_budget_helps(&pool), "from as many");
}

int main(void)
{
    test_useless();
    test_budget();
    test_response();
    test_verdict();
    return done();
}
