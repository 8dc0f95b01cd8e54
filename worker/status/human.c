#include "worker/status/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *human_time(char out[HUMAN_SIZE], uint64_t ms)
{
    uint64_t s = ms / 1000;

    if (s < 60)
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " min", s / 60);
    else if (s < 86400)
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
    return out;
}

const char *human_us(char out[HUMAN_SIZE], uint64_t us)
{
    if (us < 1000)
        snprintf(out, HUMAN_SIZE, "%" PRIu64 " µs", us);
    else if (us < 100000)
        snprintf(out, HUMAN_SIZE, "%.1f ms", (double)us / 1e3);
    else if (us < 1000000)
        snprintf(out, HUMAN_SIZE, "%.0f ms", (double)us / 1e3);
    else
        snprintf(out, HUMAN_SIZE, "%.1f s", (double)us / 1e6);
    return out;
}

const char *human_count(char out[HUMAN_SIZE], uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;

    if (n >= UINT64_C(100000000)) {
        snprintf(out, HUMAN_SIZE, "%.1f M", (double)n / 1e6);
        return out;
    }
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) {
            memcpy(out + at, "\u202f", 3);
            at += 3;
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *human_bytes(char out[HUMAN_SIZE], uint64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)n;
    size_t unit = 0;

    for (; value >= 1024 && unit < 5; unit++)
        value /= 1024;
    snprintf(out, HUMAN_SIZE, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
