/* acmed/order/plan.h: the time of the next try, as log, command line and page tell it. */
#include "acmed/order/backoff.h"
#include "acmed/order/plan.h"
#include "t/unit/tap.h"

int main(void)
{
    const uint64_t now = UINT64_C(1800000000000), day = BACKOFF_DAY_MS;
    const struct plan_live good = {.generation = 3,
                                   .from_ca = true,
                                   .covers = true,
                                   .life = {now - 10 * day, now + 80 * day}};
    const struct plan_live none = {.generation = 0};
    struct cert_state s = {.generation = 3, .renew_at = now + 50 * day};

    is_int(plan_order_at(&s, &good, now), s.renew_at, "a good one: when it is renewed");
    plan_failed(&s, &good, 0, "by hand, in vain", now, 0);
    ok(s.next_try > now && s.next_try < now + day, "an order by hand failed");
    is_int(plan_order_at(&s, &good, now), s.renew_at, "it is not due before its time");
    is_int(plan_order_at(&s, &none, now), s.next_try, "one that is missing is");
    plan_hurry(&s, 5000, now);
    is_int(plan_order_at(&s, &none, now), now + 5000, "sooner where something else is left");
    s.next_try = now + 400 * day;
    is_int(plan_order_at(&s, &none, now), 0, "a time that only another clock meant: now");
    is_int(plan_order_at(&s, &good, now), s.renew_at, "or when it is renewed");
    ok(plan_knows(&s, &good) && plan_knows(&s, &none), "that is known");
    s.generation = 2;
    ok(!plan_knows(&s, &good), "but not of a generation that was not looked at yet");
    return done();
}
