/* Which backend is tried when all are down. */
#include "worker/upstream/fail_open.h"

#include "shm/table.h"
#include "t/unit/tap.h"

int main(void)
{
    struct health_row ejected = {.state = HEALTH_EJECTED, .probe_ok = 1};
    struct health_row refuses = {.state = HEALTH_DOWN};
    struct health_row hangs = {.state = HEALTH_DOWN, .silent = 1};

    ok(fail_open_rank(&ejected, false) > fail_open_rank(&refuses, false),
       "one whose checks pass comes before one that refuses");
    ok(fail_open_rank(&refuses, false) > fail_open_rank(&hangs, false),
       "one that refuses comes before one that does not answer: it costs no time");
    ok(fail_open_rank(&refuses, false) > fail_open_rank(&refuses, true),
       "of two alike the one that has not just failed");
    ok(fail_open_rank(&refuses, true) > fail_open_rank(&hangs, false),
       "one that hangs is the last in any case");
    return done();
}
