/* For LD_PRELOAD: acmed cannot fork, as at a limit of processes, while the file $TEST_FORK
 * exists. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

pid_t fork(void)
{
    const char *lasts = getenv("TEST_FORK");
    char name[16] = "";
    pid_t (*real)(void);
    void *symbol = dlsym(RTLD_NEXT, "fork");

    prctl(PR_GET_NAME, name, 0, 0, 0);
    if (lasts && strcmp(name, "pasgate:acmed") == 0 && access(lasts, F_OK) == 0) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(&real, &symbol, sizeof real);
    return real();
}
