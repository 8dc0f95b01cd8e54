#include "acmed/order/clock_note.h"

#include <stdio.h>
#include <string.h>

#include "acmed/net/preflight.h"
#include "base/clock.h"

/* 2026-01-01: this program was built later. */
#define CLOCK_WRITTEN_MS UINT64_C(1767225600000)

enum { CLOCK_LATE_MS = 60 * 1000 }; /* NTP may set a clock back by this much */

void clock_hear(struct clock_heard *heard, int64_t off_ms)
{
    if (off_ms == 0)
        return;
    heard->known = true;
    heard->base_ms = (int64_t)(clock_wall_ms() - clock_boot_ms()) + off_ms;
}

int64_t clock_heard_off(const struct clock_heard *heard)
{
    if (!heard->known)
        return 0;
    return heard->base_ms - (int64_t)(clock_wall_ms() - clock_boot_ms());
}

static uint64_t size_of(int64_t off_ms)
{
    return off_ms < 0 ? -(uint64_t)off_ms : (uint64_t)off_ms;
}

char *clock_note(char out[TABLE_NOTE], const struct clock_facts *f)
{
    char span[CLOCK_SPAN_SIZE], when[CLOCK_ISO_SIZE], now[CLOCK_ISO_SIZE];
    uint64_t from = f->not_before_wall_ms;

    out[0] = '\0';
    clock_iso(now, f->now_wall_ms);
    if (size_of(f->off_ms) > PREFLIGHT_CLOCK_MS)
        snprintf(out, TABLE_NOTE, "the clock here is %s %s that of the CA; set it right",
                 clock_span(span, size_of(f->off_ms)), f->off_ms < 0 ? "ahead of" : "behind");
    else if (f->now_wall_ms < CLOCK_WRITTEN_MS && (f->files || from < CLOCK_WRITTEN_MS))
        snprintf(out, TABLE_NOTE,
                 "the clock here is %s behind, or more: it says %.10s, which is before this "
                 "program was built; set it right",
                 clock_span(span, CLOCK_WRITTEN_MS - f->now_wall_ms), now);
    else if (f->now_wall_ms + CLOCK_LATE_MS >= from)
        return out;
    else if (f->files)
        snprintf(out, TABLE_NOTE,
                 "it is not valid before %.16sZ, which is %s from now by the clock here; check "
                 "the clock",
                 clock_iso(when, from), clock_span(span, from - f->now_wall_ms));
    else
        snprintf(out, TABLE_NOTE,
                 "the clock here is %s behind, or more: this certificate is valid from "
                 "%.16sZ on; set it right",
                 clock_span(span, from - f->now_wall_ms), clock_iso(when, from));
    return out;
}

const char *clock_note_rest(const char *error, const char *note)
{
    static const char start[] = "the clock here is ", end[] = " the CA's; ",
                      help[] = "set it right. ";
    const char *rest = strstr(error, end);

    if (!*note || strncmp(error, start, sizeof start - 1) != 0 || !rest ||
        strncmp(error, note, (size_t)(rest - error)) == 0)
        return error;
    rest += sizeof end - 1;
    return strncmp(rest, help, sizeof help - 1) == 0 ? rest + sizeof help - 1 : rest;
}
