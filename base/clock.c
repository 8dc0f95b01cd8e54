#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define CLOCK_LAST_MS UINT64_C(253402300799999) /* last millisecond of the year 9999 */

char *clock_iso(char out[CLOCK_ISO_SIZE], uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[20];

    /* The value may come from shared memory that a compromised process can write. */
    if (wall_ms > CLOCK_LAST_MS)
        return strcpy(out, "9999-12-31T23:59:59.999Z");

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, CLOCK_ISO_SIZE, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
    return out;
}

char *clock_span(char out[CLOCK_SPAN_SIZE], uint64_t ms)
{
    enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR, YEAR = 365 * DAY + DAY / 4 };
    static const struct {
        uint64_t size, from; /* seconds: of one unit, and from which on the unit is used */
        const char *name;
    } units[] = {
        {YEAR, 2 * (uint64_t)YEAR, "year"},
        {DAY, 2 * DAY, "day"},
        {HOUR, 100 * MINUTE, "hour"},
        {MINUTE, 100, "minute"},
        {1, 0, "second"},
    };
    uint64_t s = ms / 1000, n;
    size_t i = 0;

    while (s < units[i].from)
        i++;
    n = s / units[i].size + (s % units[i].size >= (units[i].size + 1) / 2 && units[i].size > 1);
    snprintf(out, CLOCK_SPAN_SIZE, "%llu %s%s", (unsigned long long)n, units[i].name,
             str_plural(n));
    return out;
}
