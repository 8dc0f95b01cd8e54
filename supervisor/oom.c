#include "supervisor/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* A worker may be what has grown, and costs only its own connections. healthd and acmed cost
 * nobody anything, but free little. The supervisor is the service. The restarter stays as the
 * service was started, because its restart command may be another program. */
enum {
    OOM_SUPERVISOR = -900,
    OOM_WORKER = 300,
    OOM_SINGLE = 200,
    OOM_MOST = 1000, /* the kernel's limits */
};

static int at_start = OOM_MOST + 1; /* of the service; OOM_MOST + 1: unknown */

static int read_now(int fd)
{
    char text[16];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return OOM_MOST + 1;
    text[n] = '\0';
    return atoi(text);
}

static int wanted(enum kind kind)
{
    int more = kind == KIND_WORKER ? OOM_WORKER : kind == KIND_RESTARTER ? 0 : OOM_SINGLE;

    if (kind == KIND_SUPERVISOR)
        return at_start < OOM_SUPERVISOR ? at_start : OOM_SUPERVISOR;
    return at_start + more > OOM_MOST ? OOM_MOST : at_start + more;
}

void oom_prefer(enum kind kind)
{
    char text[16];
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return;
    if (at_start > OOM_MOST)
        at_start = read_now(fd);
    if (at_start <= OOM_MOST) {
        int n = snprintf(text, sizeof text, "%d", wanted(kind));

        /* Without CAP_SYS_RESOURCE it cannot be lowered; children are still ended first. */
        if (pwrite(fd, text, (size_t)n, 0) < 0)
            log_debug("oom_score_adj %s: %s", text, strerror(errno));
    }
    close(fd);
}

int oom_at_start(void)
{
    return at_start;
}

void oom_adopt(int value)
{
    at_start = value;
}
