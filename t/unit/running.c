/* A walk over the exchanges at a backend, while what is done to one ends or moves others. */
#include "t/unit/tap.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"

enum { MOST = 4 };

static struct backend_view here, there;
static struct exchange all[MOST];

/* The numbers of the exchanges that a walk visits; on visiting `at`, `gone` leaves (or moves,
 * or at -1 nothing does), as when a slot that became free ends another exchange. */
static const char *walked(int at, int gone, bool moves)
{
    static char seen[2 * MOST + 1];
    size_t n = 0;

    here = there = (struct backend_view){0};
    for (int i = MOST - 1; i >= 0; i--) { /* the last one that joins is the first */
        all[i] = (struct exchange){0};
        all[i].active = &all[i].attempt[0];
        all[i].attempt[0].exchange = all[i].attempt[1].exchange = &all[i];
        exchange_join_running(all[i].active, &here);
    }
    for (struct exchange *x = exchange_first_running(&here); x && n < sizeof seen - 1;
         x = exchange_next_running(&here)) {
        int i = (int)(x - all);

        seen[n++] = (char)('0' + i);
        if (i != at)
            continue;
        exchange_unlink_running(all[gone].active);
        if (moves)
            exchange_join_running(all[gone].active, &there);
    }
    seen[n] = '\0';
    return seen;
}

int main(void)
{
    is_str(walked(-1, 0, false), "0123", "all");
    is_str(walked(1, 1, false), "0123", "the one that is visited ends");
    is_str(walked(1, 2, false), "013", "the next one ends");
    is_str(walked(1, 2, true), "013", "the next one moves to another backend");
    is_str(walked(2, 3, false), "012", "the next one ends, and was the last");
    is_str(walked(1, 0, false), "0123", "one that was visited ends");
    is_str(walked(0, 0, true), "0123", "the first one moves");
    ok(!here.walk, "no walk is left over");

    here = (struct backend_view){0};
    ok(!exchange_first_running(&here), "nothing runs");
    exchange_join_running(all[0].active, &here);
    exchange_first_running(&here);
    exchange_join_running(all[1].active, &here);
    ok(!exchange_next_running(&here), "one that joins meanwhile is not visited");
    exchange_join_running(&all[2].attempt[1], &here);
    ok(exchange_first_running(&here) == &all[1] && exchange_next_running(&here) == &all[0] &&
           !exchange_next_running(&here),
       "an exchange is visited where its active attempt is, not where the other one is");
    return done();
}
