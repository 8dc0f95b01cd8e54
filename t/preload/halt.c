/* For LD_PRELOAD: a worker of pasgate that starts waits, before it is ready, while the file
 * $TEST_HALT exists. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int prctl(int option, ...)
{
    static const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    const char *halt = getenv("TEST_HALT");
    unsigned long arg[4];
    va_list ap;

    va_start(ap, option);
    for (int i = 0; i < 4; i++)
        arg[i] = va_arg(ap, unsigned long);
    va_end(ap);
    if (option == PR_SET_NAME && halt && strcmp((const char *)arg[0], "pasgate:worker") == 0)
        while (access(halt, F_OK) == 0)
            nanosleep(&moment, NULL);
    return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}
