/* acmed/order/clock_note.h: what a row says about the clock, beside an error of earlier. */
#include "acmed/order/clock_note.h"
#include "t/unit/tap.h"

#define DAY_MS INT64_C(86400000)

int main(void)
{
    static const char error[] = "the clock here is 7 days ahead of the CA's; it has expired";
    static const char held[] =
        "the clock here is 7 days ahead of the CA's; set it right. By the "
        "CA's clock it is not due: nothing is ordered";
    struct clock_facts facts = {.now_wall_ms = UINT64_C(1800000000000), .off_ms = -7 * DAY_MS};
    char note[TABLE_NOTE];

    is_str(clock_note(note, &facts),
           "the clock here is 7 days ahead of that of the CA; set it right", "7 days ahead");
    is_str(clock_note_rest(error, note), error, "an error that says the same stays whole");
    is_str(clock_note_rest(held, note), held, "so does this one");
    facts.off_ms = -3650 * DAY_MS;
    ok(strstr(clock_note(note, &facts), "10 years ahead"), "later 10 years");
    is_str(clock_note_rest(error, note), "it has expired", "which only the note says then");
    is_str(clock_note_rest(held, note), "By the CA's clock it is not due: nothing is ordered",
           "here, too");
    facts.off_ms = 7 * DAY_MS;
    is_str(clock_note_rest(error, clock_note(note, &facts)), "it has expired",
           "behind is not ahead");
    is_str(clock_note_rest("no route to the CA's; host", note), "no route to the CA's; host",
           "other errors stay");
    facts.off_ms = 0;
    is_str(clock_note_rest(error, clock_note(note, &facts)), error,
           "without a note, the error says what was");
    return done();
}
