/* For LD_PRELOAD: waitpid() does not see the end of the process whose pid is in the file
 * $TEST_UNHEARD, as if SIGKILL had not ended it because it hangs in the kernel. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long unheard(void)
{
    const char *name = getenv("TEST_UNHEARD");
    FILE *file = name ? fopen(name, "re") : NULL;
    long pid = -1;

    if (!file)
        return -1;
    if (fscanf(file, "%ld", &pid) != 1)
        pid = -1;
    fclose(file);
    return pid;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    long got;

    do
        got = syscall(SYS_wait4, pid, status, options, NULL);
    while (got > 0 && got == unheard());
    return (pid_t)got;
}
