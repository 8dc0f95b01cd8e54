#include "acmed/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/sandbox_rules.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct sandbox_rule forkserver_rules[] = {
    {.calls = sandbox_programs},
    {.calls = sandbox_strangers},
    {.calls = sandbox_system_wide},
    {.calls = sandbox_newer, .error = ENOSYS},
    /* It reads files, for DNS and root certificates, but writes none. */
    SANDBOX_NO_WRITING,
    /* It connects, but does not listen. bind() stays allowed: getaddrinfo() asks over netlink
     * which addresses this host has. */
    {.calls = "listen accept accept4"},
    /* IPv4, IPv6, netlink. No unix sockets: pasgate's control and Docker listen on such. */
    {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_UNIX},
    SANDBOX_FEW_SOCKETS,
};

static const struct sandbox_rule net_rules[] = {SANDBOX_NO_PROCESSES};

static const struct sandbox_rule signer_rules[] = {
    {.calls = sandbox_programs},
    {.calls = sandbox_system_wide},
    {.calls = sandbox_newer, .error = ENOSYS},
    {"socket", EACCES, SANDBOX_OTHER, 0, 0, AF_UNIX},
#if !SANDBOX_LEAK_CHECK
    {.calls = sandbox_strangers},
    SANDBOX_NO_PROCESSES,
#endif
};

static char hidden[PATH_MAX]; /* "": nothing */

void acmed_sandbox_init(const char *store)
{
    snprintf(hidden, sizeof hidden, "%s", store);
    if (*hidden && !sandbox_can_hide())
        log_warn("this kernel has no Landlock: the network helper can read what acmed can");
}

/* ---- self-tests */

static void sandbox_must(bool forbidden, const char *who, const char *what)
{
    if (forbidden)
        return;
    log_error("%s is not sandboxed: it can %s", who, what);
    _exit(1);
}

/* The calls could do nothing even if they were allowed: then they would fail for another
 * reason. */
static void try_program(const char *who)
{
    char *const none[] = {NULL};

    sandbox_must(execve("", none, none) < 0 && errno == EPERM, who, "start programs");
}

static void try_process(const char *who)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    sandbox_must(pid < 0, who, "start processes");
}

static void try_socket(const char *who, int family, const char *what)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    sandbox_must(fd < 0, who, what);
}

static void try_files(const char *who)
{
    sandbox_must(open("", O_WRONLY) < 0 && errno == EPERM, who, "write files");
    sandbox_must(open("", O_RDWR | O_CREAT, 0600) < 0 && errno == EPERM, who, "make files");
    sandbox_must(unlink("") < 0 && errno == EPERM, who, "remove files");
    sandbox_must(rename("", "") < 0 && errno == EPERM, who, "rename files");
}

/* After a failure to load filters: accepts only that the kernel has none. */
static void sandbox_without(const char *who)
{
    int error = errno;

    if (sandbox_has_filters()) {
        log_error("%s cannot be sandboxed: %s", who, strerror(error));
        _exit(1);
    }
    log_warn("this kernel has no system call filters: %s is not sandboxed", who);
}

/* It has no use for other processes' pids. */
static void forbid_others(const char *who)
{
    const char *can;

    if (sandbox_forbid_others() < 0)
        sandbox_without(who);
    can = sandbox_try_others();
    if (can)
        sandbox_must(false, who, can);
}

static void try_store(const char *who)
{
    int fd = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    sandbox_must(fd < 0, who, "read the store");
}

/* ---- the processes */

void acmed_sandbox_forkserver(void)
{
    static const char who[] = "the network helper";

    if (sandbox_forbid(forkserver_rules, COUNT(forkserver_rules)) < 0) {
        sandbox_without(who);
        return;
    }
    try_program(who);
    try_files(who);
    try_socket(who, AF_UNIX, "reach unix sockets");
    forbid_others(who);
}

void acmed_sandbox_net(void)
{
    static const char who[] = "the network helper";

    if (*hidden && sandbox_can_hide()) {
        if (sandbox_hide(hidden) == 0)
            try_store(who);
        else
            log_warn("the store cannot be hidden from %s: %s", who, strerror(errno));
    }
    if (sandbox_forbid(net_rules, COUNT(net_rules)) < 0) {
        sandbox_without(who);
        return;
    }
    try_process(who);
    forbid_others(who);
}

bool acmed_sandbox_signer(void)
{
    static const char who[] = "acmed";

    if (sandbox_forbid(signer_rules, COUNT(signer_rules)) < 0) {
        sandbox_without(who);
        return false;
    }
    try_program(who);
    try_socket(who, AF_INET, "reach the network");
    try_socket(who, AF_INET6, "reach the network");
    try_socket(who, AF_NETLINK, "reach the network");
    if (!SANDBOX_LEAK_CHECK) {
        try_process(who);
        forbid_others(who);
    }
    return true;
}
