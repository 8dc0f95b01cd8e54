#include "base/clock.h"

#include <stdio.h>

char *clock_iso(char out[CLOCK_ISO_SIZE], uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char date[20];

    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, CLOCK_ISO_SIZE, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
    return out;
}
