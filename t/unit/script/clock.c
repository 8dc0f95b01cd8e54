/* The clock of a program with scripted neighbours: it stands still until the test moves it.
 * The program's own clock_gettime() takes precedence over that of the C library. The linker
 * takes it into every unit test that asks for the time: there it is the host's clock. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "t/unit/script/script.h"

enum { BOOT_S = 1000, WALL_S = 1800000000 };

static uint64_t now_us = BOOT_S * UINT64_C(1000000);
static bool stands;

void script_stop_clock(void)
{
    stands = true;
}

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
    if (!stands)
        return (int)syscall(SYS_clock_gettime, id, t);
    t->tv_sec = (time_t)(now_us / 1000000) + (id == CLOCK_REALTIME ? WALL_S - BOOT_S : 0);
    t->tv_nsec = (long)(now_us % 1000000 * 1000);
    return 0;
}
