/* The clock of a program with scripted neighbours: it stands still until the test moves it.
 * The program's own clock_gettime() takes precedence over that of the C library. */
#include <time.h>

#include "t/unit/script/script.h"

enum { BOOT_S = 1000, WALL_S = 1800000000 };

static uint64_t now_us = BOOT_S * UINT64_C(1000000);

uint64_t script_now_us(void)
{
    return now_us;
}

void script_move_clock(uint64_t us)
{
    now_us += us;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    t->tv_sec = (time_t)(now_us / 1000000) + (id == CLOCK_REALTIME ? WALL_S - BOOT_S : 0);
    t->tv_nsec = (long)(now_us % 1000000 * 1000);
    return 0;
}
