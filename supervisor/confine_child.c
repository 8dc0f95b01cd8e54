#include "supervisor/confine_child.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/sandbox_rules.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct sandbox_rule rules[] = {
    {.calls = sandbox_programs},
    {.calls = sandbox_system_wide},
    {.calls = sandbox_newer, .error = ENOSYS},
#if !SANDBOX_LEAK_CHECK
    {.calls = sandbox_strangers},
    /* Threads stay allowed: libcurl resolves names in one. The flags of clone3() are in memory,
     * where a filter cannot see them, so it is refused as unknown; libc then uses clone(). */
    {.calls = "fork vfork"},
    {.calls = "clone3", .error = ENOSYS},
    {"clone", 0, SANDBOX_BITS, 0, CLONE_THREAD, 0},
#endif
};

static const struct sandbox_rule unix_sockets = {"socket", EACCES,     SANDBOX_BITS,
                                                 0,        UINT32_MAX, AF_UNIX};
/* The sockets of Docker and of most services are of type stream; syslog's is of type datagram.
 * The numbers of stream and seqpacket are odd, that of datagram is even. */
static const struct sandbox_rule unix_streams[] = {
    {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_UNIX},
    {"socket", EACCES, SANDBOX_BITS, 1, 1, 1},
};
_Static_assert((SOCK_STREAM & 1) && (SOCK_SEQPACKET & 1) && !(SOCK_DGRAM & 1), "odd ones");

/* Returns what it can do although it was forbidden, or NULL. */
static const char *can(bool unix_backends)
{
    char *const none[] = {NULL};
    int fd = unix_backends ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        close(fd);
        return "reach unix sockets";
    }
    if (execve("", none, none) == 0 || errno != EPERM)
        return "start programs";
    return SANDBOX_LEAK_CHECK ? NULL : sandbox_try_others();
}

static int forbid_unix_sockets(bool syslog, bool unix_backends)
{
    if (unix_backends)
        return 0;
    return syslog ? sandbox_forbid_both(unix_streams) : sandbox_forbid(&unix_sockets, 1);
}

int confine_child(bool syslog, bool unix_backends)
{
    const char *what;

    if (sandbox_forbid(rules, COUNT(rules)) < 0) {
        log_warn("this kernel has no system call filters: not sandboxed: %s", strerror(errno));
        return 0;
    }
    if (forbid_unix_sockets(syslog, unix_backends) < 0 ||
        (!SANDBOX_LEAK_CHECK && sandbox_forbid_others() < 0)) {
        log_error("cannot be sandboxed: %s", strerror(errno));
        return -1;
    }
    what = can(unix_backends);
    if (what) {
        log_error("not sandboxed: it can %s", what);
        errno = EPERM;
        return -1;
    }
    return 0;
}
