/* A drain's end, and what the rows of a backend say about its use. */
#include "supervisor/backend/drain.h"

#include "shm/admission.h"
#include "shm/sessions.h"
#include "t/unit/tap.h"

enum { SINCE = 1000 * 1000, LIMIT = 300 * 1000 };

static char why[DRAIN_REASON];

static enum drain_end at(uint64_t ms, uint32_t in_flight, uint32_t sessions)
{
    struct drain_view v = {.now_ms = SINCE + ms,
                           .since_ms = SINCE,
                           .timeout_ms = LIMIT,
                           .in_flight = in_flight,
                           .sessions = sessions};

    why[0] = '\0';
    return drain_decide(&v, why);
}

static void ends(void)
{
    struct drain_view v = {.since_ms = SINCE, .now_ms = SINCE + 1000};

    is_int(at(0, 0, 1), DRAIN_GOES_ON, "a session is left");
    is_int(at(0, 1, 0), DRAIN_GOES_ON, "a request is left");
    is_int(at(12999, 0, 0), DRAIN_EMPTY, "nothing is left");
    is_str(why, "drained: empty after 12 s", "and it says so");
    is_int(at(LIMIT - 1, 3, 2), DRAIN_GOES_ON, "just before its time is over");
    is_int(at(LIMIT, 3, 2), DRAIN_CUT, "its time is over");
    is_str(why, "drain_timeout: 3 requests and 2 sessions cut", "and it says so");
    at(LIMIT, 1, 1);
    is_str(why, "drain_timeout: 1 request and 1 session cut", "in the singular too");
    is_int(at(LIMIT - 1, 0, SESSIONS_UNCOUNTED), DRAIN_GOES_ON,
           "sessions that are not counted");
    is_int(at(LIMIT, 1, SESSIONS_UNCOUNTED), DRAIN_CUT, "until the time is over");
    is_str(why,
           "drain_timeout: 1 request and sessions cut (not counted: /dev/shm is too small)",
           "and it does not invent a number");
    is_int(at(LIMIT, 0, 0), DRAIN_EMPTY, "empty at the last moment is empty");

    is_int(drain_deadline(&v), 0, "no drain_timeout, no deadline");
    v.in_flight = 1;
    v.now_ms = SINCE + UINT64_C(1000) * LIMIT;
    is_int(drain_decide(&v, why), DRAIN_GOES_ON, "and it waits for ever");
}

static void after_a_restart(void)
{
    struct drain_view v = {.since_ms = SINCE,
                           .now_ms = SINCE + 9999,
                           .blind_until_ms = SINCE + 10000,
                           .timeout_ms = LIMIT};

    is_int(drain_decide(&v, why), DRAIN_GOES_ON, "sessions are not known yet");
    v.now_ms++;
    is_int(drain_decide(&v, why), DRAIN_EMPTY, "now they would be");
    v.now_ms = SINCE + LIMIT;
    v.blind_until_ms = SINCE + LIMIT + 1;
    is_int(drain_decide(&v, why), DRAIN_CUT, "the deadline does not wait for that");
    is_str(why, "drain_timeout: sessions from before the restart are unknown", "says so");
    v.now_ms = SINCE - 5000; /* the clocks of a restored override */
    v.blind_until_ms = 0;
    is_int(drain_decide(&v, why), DRAIN_EMPTY, "a since in the future");
    is_str(why, "drained: empty after 0 s", "is now");
}

static void admission(void)
{
    struct admin_row row = {.override = ADMIN_READY};

    is_int(admission_state(&row), ADMIN_READY, "ready");
    row.drained = DRAIN_CUT;
    is_int(admission_state(&row), ADMIN_READY, "what an earlier drain came to is past");
    row.drained = DRAIN_GOES_ON;
    row.override = ADMIN_DRAIN;
    is_int(admission_state(&row), ADMIN_DRAIN, "a drain that goes on");
    row.drained = DRAIN_EMPTY;
    is_int(admission_state(&row), ADMIN_MAINT, "one that has ended takes nothing");
    row.drained = DRAIN_CUT;
    is_int(admission_state(&row), ADMIN_MAINT, "nor one that was cut");
    row.drained = DRAIN_GOES_ON;
    is_int(admission_state(&row), ADMIN_DRAIN, "until it begins anew");
    row.override = ADMIN_MAINT;
    is_int(admission_state(&row), ADMIN_MAINT, "maint");

    row.override = ADMIN_READY;
    row.heal = RECOVERY_DRAINING;
    is_int(admission_state(&row), ADMIN_DRAIN, "drained in order to be healed");
    ok(admission_drains(&row), "is a drain as any other");
    row.drained = DRAIN_EMPTY;
    is_int(admission_state(&row), ADMIN_MAINT, "its end too");
    row.drained = DRAIN_GOES_ON;
    row.heal = RECOVERY_RESTARTING;
    is_int(admission_state(&row), ADMIN_MAINT, "nothing for one that restarts");
    row.heal = RECOVERY_VERIFYING;
    is_int(admission_state(&row), ADMIN_MAINT, "nor before it is proved");
    row.heal = RECOVERY_SLOWSTART;
    is_int(admission_state(&row), ADMIN_READY, "then it serves");
    row.heal = RECOVERY_HOLD;
    is_int(admission_state(&row), ADMIN_READY, "on hold its health decides");
}

static void slow_start(void)
{
    is_int(admission_permille(0, 60000, SINCE), 1000, "never rose: all");
    is_int(admission_permille(SINCE, 0, SINCE), 1000, "no slow start: all");
    is_int(admission_permille(SINCE, 60000, SINCE), 100, "a tenth at the beginning");
    is_int(admission_permille(SINCE, 60000, SINCE - 9), 100, "also by a clock read before");
    is_int(admission_permille(SINCE, 60000, SINCE + 30000), 550, "half-way");
    is_int(admission_permille(SINCE, 60000, SINCE + 59999), 999, "nearly all");
    is_int(admission_permille(SINCE, 60000, SINCE + 60000), 1000, "all");
    is_int(admission_permille(1, UINT32_MAX, UINT64_MAX), 1000, "the ends of the range");
}

int main(void)
{
    ends();
    after_a_restart();
    admission();
    slow_start();
    return done();
}
