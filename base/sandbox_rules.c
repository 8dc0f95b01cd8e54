#include "base/sandbox_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sandbox.h"

#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#endif
#ifndef SYS_process_madvise /* the same numbers on every architecture */
#define SYS_process_madvise 440
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif
#define ANY_BITS \
    UINT32_MAX /* arguments of type int: the kernel ignores the upper half of the register */

const char sandbox_programs[] = "execve execveat";

const char sandbox_strangers[] =
    "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_open "
    "pidfd_getfd pidfd_send_signal kill tkill rt_sigqueueinfo kcmp get_robust_list setpriority "
    "ioprio_set migrate_pages move_pages setpgid";

const char sandbox_files[] =
    "creat truncate unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat "
    "mkdir mkdirat rmdir mknod mknodat chmod fchmod fchmodat fchmodat2 chown lchown fchown "
    "fchownat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr utime utimes "
    "futimesat utimensat";

const char sandbox_memory[] =
    "memfd_create memfd_secret ftruncate fallocate personality shmget shmat shmctl msgget "
    "msgsnd "
    "msgrcv msgctl semget semop semtimedop semctl mq_open mq_unlink modify_ldt pkey_mprotect";

const char sandbox_identity[] =
    "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset";

const char sandbox_system_wide[] =
    "io_uring_enter io_uring_register bpf perf_event_open userfaultfd keyctl add_key "
    "request_key mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig fsmount "
    "fspick mount_setattr unshare setns kexec_load kexec_file_load init_module finit_module "
    "delete_module reboot swapon swapoff acct name_to_handle_at open_by_handle_at syslog "
    "settimeofday clock_settime clock_adjtime adjtimex stime sethostname setdomainname iopl "
    "ioperm "
    "quotactl quotactl_fd fanotify_init vhangup lookup_dcookie";

const char sandbox_newer[] = "io_uring_setup openat2";

void sandbox_rules_others(struct sandbox_rule rules[SANDBOX_OTHERS])
{
    const uint64_t self = (uint64_t)getpid();
    const struct sandbox_rule all[] = {
        {"tgkill rt_tgsigqueueinfo", 0, SANDBOX_OTHER, 0, 0, self},
        {"prlimit64", 0, SANDBOX_OTHER, 0, 0, 0},
        {"sched_setaffinity sched_setattr sched_setparam sched_setscheduler", 0, SANDBOX_OTHER,
         0, 0, 0},
        {"fcntl", 0, SANDBOX_BITS, 1, ANY_BITS, F_SETOWN},
        {"fcntl", 0, SANDBOX_BITS, 1, ANY_BITS, F_SETOWN_EX},
        {"fcntl", 0, SANDBOX_BITS, 1, ANY_BITS, F_SETSIG},
        {"ioctl", 0, SANDBOX_BITS, 1, ANY_BITS, FIOSETOWN},
        {"ioctl", 0, SANDBOX_BITS, 1, ANY_BITS, SIOCSPGRP},
        {"ioctl", 0, SANDBOX_BITS, 1, ANY_BITS, TIOCSPGRP},
        {"ioctl", 0, SANDBOX_BITS, 1, ANY_BITS, TIOCSTI}, /* types at the operator's terminal */
        {"prctl", 0, SANDBOX_BITS, 0, ANY_BITS, PR_SCHED_CORE},
    };

    _Static_assert(sizeof all / sizeof *all == SANDBOX_OTHERS, "as many as the header says");
    memcpy(rules, all, sizeof all);
}

int sandbox_forbid_others(void)
{
    struct sandbox_rule rules[SANDBOX_OTHERS];

    sandbox_rules_others(rules);
    return sandbox_forbid(rules, SANDBOX_OTHERS);
}

/* Calls go by number, because libraries check arguments before the kernel does. If a call were
 * allowed, its arguments would change nothing: they name a process that cannot exist. The
 * kernel looks for it before it compares users. With a process of another user, such as a
 * supervisor that runs as root, its EPERM would look like that of the filter. */
const char *sandbox_try_others(void)
{
    const long pid = INT32_MAX; /* the kernel's PID_MAX_LIMIT is 4 million */
    struct rlimit none;
    int zero = 0;
    const struct {
        const char *name;
        long call;
        long a[5];
    } tries[] = {
        {"kill", SYS_kill, {pid, 0}},
        {"tkill", SYS_tkill, {pid, 0}},
        {"tgkill", SYS_tgkill, {pid, pid, 0}},
        {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {pid, 0, 0}},
        {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, {pid, pid, 0, 0}},
        {"pidfd_open", SYS_pidfd_open, {pid, 0}},
        {"pidfd_send_signal", SYS_pidfd_send_signal, {-1, 0, 0, 0}},
        {"pidfd_getfd", SYS_pidfd_getfd, {-1, 0, 0}},
        {"ptrace", SYS_ptrace, {PTRACE_ATTACH, pid, 0, 0}},
        {"process_vm_readv", SYS_process_vm_readv, {pid, 0, 0, 0, 0}},
        {"process_vm_writev", SYS_process_vm_writev, {pid, 0, 0, 0, 0}},
        {"process_madvise", SYS_process_madvise, {-1, 0, 0, 0, 0}},
        {"process_mrelease", SYS_process_mrelease, {-1, 0}},
        {"kcmp", SYS_kcmp, {pid, pid, 0, 0, 0}},
        {"get_robust_list", SYS_get_robust_list, {pid, 0, 0}},
        {"prlimit64", SYS_prlimit64, {pid, RLIMIT_NOFILE, 0, (long)&none}},
        {"sched_setaffinity", SYS_sched_setaffinity, {pid, 0, 0}},
        {"sched_setparam", SYS_sched_setparam, {pid, 0}},
        {"sched_setscheduler", SYS_sched_setscheduler, {pid, 0, 0}},
        {"sched_setattr", SYS_sched_setattr, {pid, 0, 0}},
        {"setpriority", SYS_setpriority, {PRIO_PROCESS, pid, 0}},
        {"ioprio_set", SYS_ioprio_set, {1, pid, 0}},
        {"migrate_pages", SYS_migrate_pages, {pid, 0, 0, 0}},
        {"move_pages", SYS_move_pages, {pid, 0, 0, 0, 0}},
        {"setpgid", SYS_setpgid, {pid, 0}},
        {"fcntl F_SETOWN", SYS_fcntl, {-1, F_SETOWN, pid}},
        {"fcntl F_SETOWN_EX", SYS_fcntl, {-1, F_SETOWN_EX, (long)&zero}},
        {"fcntl F_SETSIG", SYS_fcntl, {-1, F_SETSIG, 0}},
        {"ioctl FIOSETOWN", SYS_ioctl, {-1, FIOSETOWN, (long)&zero}},
        {"ioctl SIOCSPGRP", SYS_ioctl, {-1, SIOCSPGRP, (long)&zero}},
        {"ioctl TIOCSPGRP", SYS_ioctl, {-1, TIOCSPGRP, (long)&zero}},
        {"ioctl TIOCSTI", SYS_ioctl, {-1, TIOCSTI, (long)&zero}},
        {"prctl PR_SCHED_CORE", SYS_prctl, {PR_SCHED_CORE, -1, 0, 0, 0}},
    };

    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        const long *a = tries[i].a;

        /* The filter fails with EPERM; without it, these arguments give another error, or the
         * call works. ENOSYS: the kernel does not have the call, so it can do no harm. */
        if (syscall(tries[i].call, a[0], a[1], a[2], a[3], a[4]) >= 0 ||
            (errno != EPERM && errno != ENOSYS))
            return tries[i].name;
    }
    return NULL;
}
