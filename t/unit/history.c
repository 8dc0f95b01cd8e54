/* The ring of transitions. */
#include "base/clock.h"
#include "shm/table.h"
#include "t/unit/tap.h"

static struct history history;
static struct transition out[TABLE_HISTORY];

int main(void)
{
    char reason[400];

    is_int(history_read(&history, out), 0, "empty at first");
    history_add(&history, HEALTH_UNKNOWN, HEALTH_UP, "healthd", "2 of 2 passed");
    is_int(history_read(&history, out), 1, "one");
    is_str(out[0].actor, "healthd", "its actor");
    is_str(out[0].reason, "2 of 2 passed", "its reason");
    ok(out[0].from == HEALTH_UNKNOWN && out[0].to == HEALTH_UP, "its states");
    ok(out[0].wall_ms > clock_wall_ms() - 60000, "its time is now");
    for (int i = 0; i < 2 * TABLE_HISTORY + 5; i++) {
        snprintf(reason, sizeof reason, "%d", i);
        history_add(&history, HEALTH_UP, HEALTH_DOWN, "healthd", reason);
    }
    is_int(history_read(&history, out), TABLE_HISTORY, "a full ring");
    is_str(out[TABLE_HISTORY - 1].reason, reason, "the newest comes last");
    snprintf(reason, sizeof reason, "%d", TABLE_HISTORY + 5);
    is_str(out[0].reason, reason, "the oldest that is left comes first");

    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    history_add(&history, 0, 1, reason, reason);
    history_read(&history, out);
    is_int(strlen(out[TABLE_HISTORY - 1].reason), TABLE_REASON - 1, "a long reason is cut");
    is_int(strlen(out[TABLE_HISTORY - 1].actor), sizeof out->actor - 1, "a long actor too");

    seq_write_begin(&history.seq);
    is_int(history_read(&history, out), 0, "a half-written ring gives nothing");
    history_add(&history, 0, 1, "healthd", "again");
    is_int(history_read(&history, out), TABLE_HISTORY, "the next writer makes it whole");
    history.count = UINT32_MAX; /* the ring's length divides 2^32 */
    history_add(&history, 0, 1, "healthd", "wrapped");
    is_int(history.count, 0, "the count may wrap around");

    uint32_t seen = UINT32_MAX;
    is_int(history_read_new(&history, &seen, out), 0, "what was there before is not new");
    history_add_recovery(&history, RECOVERY_NONE, RECOVERY_DRAINING, "operator", "asked");
    history_add(&history, ADMIN_READY, ADMIN_DRAIN, "operator", "asked too");
    is_int(history_read_new(&history, &seen, out), 2, "two are");
    ok(out[0].heal && out[0].to == RECOVERY_DRAINING && !out[1].heal &&
           out[1].to == ADMIN_DRAIN,
       "heal states are told from others");
    is_int(history_read_new(&history, &seen, out), 0, "each is new once");
    for (int i = 0; i < TABLE_HISTORY + 9; i++)
        history_add(&history, 0, 1, "healthd", "many");
    is_int(history_read_new(&history, &seen, out), TABLE_HISTORY, "as many as are left");
    seq_write_begin(&history.seq);
    is_int(history_read_new(&history, &seen, out), 0, "half-written: next time");
    return done();
}
