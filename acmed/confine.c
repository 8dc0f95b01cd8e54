#include "acmed/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sandbox.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define BITS SANDBOX_BITS

/* Nobody here needs these, and each would be a way around the rest. With ENOSYS, libraries take
 * the older call. */
static const char programs[] = "execve execveat";
static const char strangers[] =
    "ptrace process_vm_readv process_vm_writev process_madvise pidfd_open pidfd_getfd "
    "pidfd_send_signal kill tkill rt_sigqueueinfo rt_tgsigqueueinfo";
static const char system_wide[] =
    "io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key "
    "request_key mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount "
    "fspick mount_setattr unshare setns kexec_load kexec_file_load init_module finit_module "
    "delete_module reboot swapon swapoff acct name_to_handle_at open_by_handle_at";
static const char newer[] = "io_uring_setup openat2";

static const char files[] =
    "creat truncate unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat "
    "mkdir mkdirat rmdir mknod mknodat chmod fchmod fchmodat fchmodat2 chown lchown fchown "
    "fchownat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr utime utimes "
    "futimesat "
    "utimensat";

static const struct sandbox_rule nursery_rules[] = {
    {.calls = programs},
    {.calls = strangers},
    {.calls = system_wide},
    {.calls = newer, .error = ENOSYS},
    {"ioctl", 0, BITS, 1, UINT32_MAX, TIOCSTI}, /* types at the operator's terminal */
    /* Reads files, because of DNS and roots, but changes none. */
    {.calls = files},
    {"open", 0, BITS, 1, O_WRONLY, O_WRONLY},
    {"open", 0, BITS, 1, O_RDWR, O_RDWR},
    {"open", 0, BITS, 1, O_CREAT, O_CREAT},
    {"open", 0, BITS, 1, O_TRUNC, O_TRUNC},
    {"openat", 0, BITS, 2, O_WRONLY, O_WRONLY},
    {"openat", 0, BITS, 2, O_RDWR, O_RDWR},
    {"openat", 0, BITS, 2, O_CREAT, O_CREAT},
    {"openat", 0, BITS, 2, O_TRUNC, O_TRUNC},
    /* Speaks, but is not spoken to. bind() stays: getaddrinfo() asks by netlink which addresses
     * this host has. */
    {.calls = "listen accept accept4"},
    /* IPv4, IPv6, netlink. No unix socket: pasgate's control socket and Docker's are such. */
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_UNIX},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_AX25},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_IPX},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_APPLETALK},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_NETROM},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_BRIDGE},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_ATMPVC},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_X25},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_ROSE},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_DECnet},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_NETBEUI},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_SECURITY},
    {"socket", EACCES, BITS, 0, UINT32_MAX, AF_KEY},
    {"socket", EACCES, SANDBOX_ABOVE, 0, 0, AF_NETLINK},
};

/* But for threads: libcurl resolves names in one. clone3() has its flags in memory. */
#define PROCESSES                                                  \
    {.calls = "fork vfork"}, {.calls = "clone3", .error = ENOSYS}, \
    {                                                              \
        "clone", 0, BITS, 0, CLONE_THREAD, 0                       \
    }

static const struct sandbox_rule net_rules[] = {PROCESSES};

static const struct sandbox_rule signer_rules[] = {
    {.calls = programs},
    {.calls = system_wide},
    {.calls = newer, .error = ENOSYS},
    {"socket", EACCES, SANDBOX_OTHER, 0, 0, AF_UNIX},
#if !SANDBOX_LEAK_CHECK
    {.calls = strangers},
    PROCESSES,
#endif
};

static char hidden[PATH_MAX]; /* "": nothing */

void confine_init(const char *store)
{
    snprintf(hidden, sizeof hidden, "%s", store);
    if (*hidden && !sandbox_can_hide())
        log_warn("this kernel has no Landlock: the network half could read what acmed may");
}

/* ---- did it work? */

static void must(bool forbidden, const char *who, const char *what)
{
    if (forbidden)
        return;
    log_error("%s is not confined: it can %s", who, what);
    _exit(1);
}

/* A call that could not do anything anyway, were it allowed, fails for another reason then. */
static void try_program(const char *who)
{
    char *const none[] = {NULL};

    must(execve("", none, none) < 0 && errno == EPERM, who, "start programs");
}

static void try_process(const char *who)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    must(pid < 0, who, "start processes");
}

static void try_socket(const char *who, int family, const char *what)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        close(fd);
    must(fd < 0, who, what);
}

static void try_files(const char *who)
{
    must(open("", O_WRONLY) < 0 && errno == EPERM, who, "write files");
    must(open("", O_RDWR | O_CREAT, 0600) < 0 && errno == EPERM, who, "make files");
    must(unlink("") < 0 && errno == EPERM, who, "remove files");
    must(rename("", "") < 0 && errno == EPERM, who, "rename files");
}

static void try_store(const char *who)
{
    int fd = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    must(fd < 0, who, "read the store");
}

/* ---- the processes */

void confine_nursery(void)
{
    static const char who[] = "the network half";

    if (sandbox_forbid(nursery_rules, COUNT(nursery_rules)) < 0) {
        log_warn("this kernel has no filters of system calls: %s is not confined", who);
        return;
    }
    try_program(who);
    try_files(who);
    try_socket(who, AF_UNIX, "reach unix sockets");
    must(kill(getppid(), 0) < 0, who, "send signals");
    must(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0, who, "trace processes");
}

void confine_net(void)
{
    static const char who[] = "the network half";

    if (*hidden && sandbox_can_hide()) {
        if (sandbox_hide(hidden) == 0)
            try_store(who);
        else
            log_warn("the store cannot be hidden from %s: %s", who, strerror(errno));
    }
    if (sandbox_forbid(net_rules, COUNT(net_rules)) == 0)
        try_process(who);
}

void confine_signer(void)
{
    static const char who[] = "acmed";

    if (sandbox_forbid(signer_rules, COUNT(signer_rules)) < 0) {
        log_warn("this kernel has no filters of system calls: %s could reach the network", who);
        return;
    }
    try_program(who);
    try_socket(who, AF_INET, "reach the network");
    try_socket(who, AF_INET6, "reach the network");
    try_socket(who, AF_NETLINK, "reach the network");
    if (!SANDBOX_LEAK_CHECK)
        try_process(who);
}
