/* For LD_PRELOAD: moves the wall clock of a program, and of all that it forks. $TEST_CLOCK is a
 * file that holds how far, in nanoseconds, as a number of this machine; who writes into it
 * moves the clock of what runs. The monotonic clock goes on. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BILLION = 1000 * 1000 * 1000 };

static const _Atomic int64_t none;
static const _Atomic int64_t *off = &none;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, fd, 0);

    if (fd >= 0)
        close(fd);
    if (map != MAP_FAILED)
        off = map;
}

int clock_gettime(clockid_t id, struct timespec *to)
{
    int got = (int)syscall(SYS_clock_gettime, id, to);
    int64_t at;

    if (got < 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return got;
    at = to->tv_sec * (int64_t)BILLION + to->tv_nsec + atomic_load(off);
    to->tv_sec = at / BILLION;
    to->tv_nsec = at % BILLION;
    return 0;
}

time_t time(time_t *to)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    if (to)
        *to = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *to, void *zone)
{
    struct timespec now = {0};

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}
