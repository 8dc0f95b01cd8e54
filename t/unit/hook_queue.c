/* Events that wait for the hook: that a generation went live is never lost. */
#include "acmed/cert/hook_queue.h"
#include "t/unit/tap.h"

static void test_order(void)
{
    struct hook_queue q = {0};

    ok(!hook_queue_next(&q, 0), "nothing waits at first");
    hook_queue_deployed(&q, "renewed");
    hook_queue_trouble(&q, "failed");
    hook_queue_trouble(&q, "expiring");
    is_str(hook_queue_next(&q, 1), "renewed", "a renewal is not replaced by later trouble");
    hook_queue_called(&q, hook_queue_next(&q, 1), true, 1);
    is_str(hook_queue_next(&q, 2), "expiring", "then the latest trouble");
    hook_queue_called(&q, hook_queue_next(&q, 2), true, 2);
    ok(!hook_queue_next(&q, 3), "each once");
    hook_queue_trouble(&q, "failed");
    hook_queue_deployed(&q, "issued");
    hook_queue_deployed(&q, "renewed");
    is_str(hook_queue_next(&q, 4), "issued", "the first certificate is announced as such");
    hook_queue_called(&q, hook_queue_next(&q, 4), true, 4);
    ok(!hook_queue_next(&q, 5), "one call for both, and older trouble is over");
}

static void test_not_started(void)
{
    struct hook_queue q = {0};

    hook_queue_deployed(&q, "renewed");
    hook_queue_called(&q, hook_queue_next(&q, 1), false, 1);
    hook_queue_trouble(&q, "failed");
    ok(!hook_queue_next(&q, HOOK_QUEUE_RETRY_MS), "a call that could not be started: a pause");
    is_str(hook_queue_next(&q, 1 + HOOK_QUEUE_RETRY_MS), "renewed", "then once more");
    hook_queue_called(&q, hook_queue_next(&q, 1 + HOOK_QUEUE_RETRY_MS), true, 40000);
    is_str(hook_queue_next(&q, 40001), "failed", "then the rest");
    hook_queue_called(&q, hook_queue_next(&q, 40001), false, 40001);
    ok(!hook_queue_next(&q, 100000), "trouble is not tried again: it is reported again");
    hook_queue_deployed(&q, "renewed");
    is_str(hook_queue_next(&q, 40002), "renewed", "the next one does not wait");
}

static void test_lost(void)
{
    struct hook_queue q = {0};

    hook_queue_deployed(&q, "issued");
    hook_queue_called(&q, hook_queue_next(&q, 1), true, 1);
    hook_queue_trouble(&q, "failed");
    hook_queue_lost(&q, "issued", 10);
    ok(!hook_queue_next(&q, 9 + HOOK_QUEUE_LOST_MS), "a lost call: a pause");
    is_str(hook_queue_next(&q, 10 + HOOK_QUEUE_LOST_MS), "issued", "then once more");
    hook_queue_called(&q, hook_queue_next(&q, 10 + HOOK_QUEUE_LOST_MS), true, 9999);
    is_str(hook_queue_next(&q, 10000), "failed", "trouble that came later is not over");
}

int main(void)
{
    test_lost();
    test_order();
    test_not_started();
    return done();
}
