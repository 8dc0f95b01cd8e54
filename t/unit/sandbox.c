/* What a filter forbids fails, what it does not works; what is hidden cannot be opened. Each
 * case in a child, because nothing of it is ever undone. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/sandbox.h"
#include "base/conf/conf.h"
#include "base/landlock.h"
#include "base/sandbox.h"
#include "base/sandbox_rules.h"
#include "supervisor/confine_child.h"
#include "t/unit/tap.h"

enum { NO_FILTERS = 77 };

static char root[] = "/tmp/pasgate-sandbox-XXXXXX";
static char store[128], secret[160], beside[128];

/* Valgrind's own calls would be filtered, too. */
static bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload");
}

static void in_child(int (*what)(void), const char *name)
{
    int status = 0;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(what());
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTERS)
        pass("%s: this kernel has none", name);
    else if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", name))
        diag("status %#x: an exit code is the number of what did not hold", status);
}

#define HOLDS(n, cond) \
    do                 \
        if (!(cond))   \
            return n;  \
    while (0)

static int can_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int can_talk(int family, int type)
{
    int fd = socket(family, type, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int can_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    return pid > 0;
}

static void *nothing(void *arg)
{
    return arg;
}

static int can_thread(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static int can_exec(void)
{
    char *const none[] = {NULL};

    return execve("", none, none) == 0 || errno != EPERM;
}

/* ---- */

static int lists(void)
{
    static const struct sandbox_rule rules[] = {
        {.calls = "getppid no_such_call mkdir mkdirat", .error = EACCES},
        {"socket", 0, SANDBOX_BITS, 0, UINT32_MAX, AF_INET},
        {"lseek", 0, SANDBOX_ABOVE, 2, 0, SEEK_CUR},
        {"dup", 0, SANDBOX_OTHER, 0, 0, 1},
    };
    int fd;

    if (sandbox_forbid(rules, sizeof rules / sizeof *rules) < 0)
        return NO_FILTERS;
    HOLDS(1, mkdir("/tmp", 0700) < 0 && errno == EACCES);
    HOLDS(2, !can_talk(AF_INET, SOCK_STREAM) && errno == EPERM);
    HOLDS(3, can_talk(AF_UNIX, SOCK_STREAM));
    fd = open("/proc/self/exe", O_RDONLY);
    HOLDS(4, fd >= 0 && lseek(fd, 0, SEEK_CUR) == 0);
    HOLDS(5, lseek(fd, 0, SEEK_END) < 0 && errno == EPERM);
    HOLDS(6, dup(fd) < 0 && errno == EPERM);
    HOLDS(7, dup(1) >= 0);
    return 0;
}

static int twice(void)
{
    static const struct sandbox_rule first = {.calls = "getppid"}, then = {.calls = "dup"};

    if (sandbox_forbid(&first, 1) < 0)
        return NO_FILTERS;
    HOLDS(1, can_fork());
    HOLDS(2, sandbox_forbid(&then, 1) == 0);
    HOLDS(3, getppid() < 0);
    HOLDS(4, dup(1) < 0);
    return 0;
}

static int hides(void)
{
    if (!sandbox_can_hide())
        return NO_FILTERS;
    HOLDS(1, can_open(secret, O_RDONLY));
    HOLDS(2, sandbox_hide(store) == 0);
    HOLDS(3, !can_open(secret, O_RDONLY) && errno == EACCES);
    HOLDS(4, !can_open(store, O_RDONLY | O_DIRECTORY));
    HOLDS(5, can_open(beside, O_RDONLY));
    HOLDS(6, !can_open(beside, O_WRONLY));
    HOLDS(7, can_open("/etc/passwd", O_RDONLY));
    HOLDS(8, can_open("/proc/self/status", O_RDONLY));
    return 0;
}

static int hides_nothing(void)
{
    HOLDS(1, sandbox_hide("/nowhere/at all") == 0);
    HOLDS(2, can_open(secret, O_RDONLY));
    return 0;
}

/* Calls that take a pid, on our parent, which is of our uid: the number of the first that is
 * allowed. What is about oneself still works. */
static int touches_nobody(void)
{
    pid_t pid = getppid();
    struct rlimit limit;
    struct sched_param param = {0};
    cpu_set_t cpus;
    int fd = dup(1);

    HOLDS(101, syscall(SYS_tgkill, pid, pid, 0) < 0 && errno == EPERM);
    HOLDS(102, syscall(SYS_tkill, pid, 0) < 0 && errno == EPERM);
    HOLDS(103, prlimit(pid, RLIMIT_NOFILE, NULL, &limit) < 0 && errno == EPERM);
    HOLDS(104, sched_setparam(pid, &param) < 0 && errno == EPERM);
    HOLDS(105, sched_setscheduler(pid, SCHED_OTHER, &param) < 0 && errno == EPERM);
    HOLDS(106, sched_getaffinity(0, sizeof cpus, &cpus) == 0 &&
                   sched_setaffinity(pid, sizeof cpus, &cpus) < 0 && errno == EPERM);
    HOLDS(107, setpriority(PRIO_PROCESS, (id_t)pid, 0) < 0 && errno == EPERM);
    HOLDS(108, setpriority(PRIO_USER, 0, 0) < 0 && errno == EPERM);
    HOLDS(109, fcntl(fd, F_SETOWN, pid) < 0 && errno == EPERM);
    HOLDS(110, fcntl(fd, F_SETSIG, SIGTERM) < 0 && errno == EPERM);
    HOLDS(111, syscall(SYS_pidfd_open, pid, 0) < 0 && errno == EPERM);
    HOLDS(112, syscall(SYS_ioprio_set, 1, pid, 0) < 0 && errno == EPERM);
    HOLDS(113, syscall(SYS_kcmp, pid, pid, 0, 0, 0) < 0 && errno == EPERM);
    HOLDS(114, syscall(SYS_move_pages, pid, 0, NULL, NULL, NULL, 0) < 0 && errno == EPERM);
    HOLDS(115, setpgid(pid, 0) < 0 && errno == EPERM);
    HOLDS(116, sandbox_try_others() == NULL);
    HOLDS(120, getrlimit(RLIMIT_NOFILE, &limit) == 0);
    HOLDS(121, setrlimit(RLIMIT_NOFILE, &limit) == 0);
    HOLDS(122, sched_setaffinity(0, sizeof cpus, &cpus) == 0);
    HOLDS(123, fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    close(fd);
    return 0;
}

/* The kernel may be of any version of Landlock, or have none. */
static int limited_files(enum kind kind, uint32_t sandbox)
{
    HOLDS(30, !(sandbox & SANDBOX_FILES) == (landlock_abi() < LANDLOCK_ABI_FILES));
    HOLDS(31, !(sandbox & SANDBOX_PORTS) == (landlock_abi() < LANDLOCK_ABI_TCP));
    HOLDS(32, !(sandbox & SANDBOX_SCOPE) == (landlock_abi() < LANDLOCK_ABI_SCOPE));
    if (sandbox & SANDBOX_FILES) {
        HOLDS(36, can_open(secret, O_RDONLY) == (kind == KIND_WORKER));
        HOLDS(33, !can_open(beside, O_RDONLY) && errno == EACCES);
        HOLDS(34, !can_open("/root", O_RDONLY | O_DIRECTORY));
        HOLDS(35, SANDBOX_LEAK_CHECK || !can_open("/proc/self/maps", O_RDONLY));
    }
    return 0;
}

static int connects_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;

    close(fd);
    return error;
}

static int no_code(enum kind kind)
{
    long page = sysconf(_SC_PAGESIZE);
    void *data = mmap(NULL, (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("/etc/ssl/openssl.cnf", O_RDONLY);

    HOLDS(40, mprotect(data, (size_t)page, PROT_READ | PROT_WRITE) == 0);
    HOLDS(41, mprotect(data, (size_t)page, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
    HOLDS(42, mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                  MAP_FAILED);
    HOLDS(43, memfd_create("x", 0) < 0);
    if (fd >= 0)
        HOLDS(44, (mmap(NULL, 1, PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED) ==
                      (kind == KIND_HEALTHD));
    return 0;
}

static struct conf *conf_of(const char *address, const char *more)
{
    static const char form[] =
        "certificates = ({ names = [ \"a.test\" ]; self_signed = true; });"
        "acme = { store = \"%s\"; };"
        "pools = ({ name = \"p\"; backends = ({ name = \"b\"; address = \"%s\"; }); }); %s";
    char text[sizeof form + sizeof store + 200];
    struct conf_errors errs = {0};
    struct conf *conf;

    snprintf(text, sizeof text, form, store, address, more);
    conf = conf_parse(text, strlen(text), "t.conf", &errs);
    if (!conf)
        diag("%s", errs.v[0]);
    return conf;
}

static int child_of_ours(enum kind kind, bool syslog)
{
    static const struct sandbox_rule none = {.calls = "no_such_call"};
    const struct conf *conf =
        conf_of("127.0.0.1:9", syslog ? "log = { access = \"syslog\"; };" : "");
    uint32_t sandbox = 0;

    HOLDS(29, conf != NULL);
    if (sandbox_forbid(&none, 1) < 0)
        return NO_FILTERS;
    HOLDS(1, confine_child(kind, conf, &sandbox) == 0);
    HOLDS(28, sandbox & SANDBOX_CALLS);
    int failed = limited_files(kind, sandbox);
    HOLDS(failed, failed == 0);
    failed = no_code(kind);
    HOLDS(failed, failed == 0);
    if (sandbox & SANDBOX_PORTS) {
        HOLDS(50, connects_to(9) == ECONNREFUSED);
        HOLDS(51, connects_to(11) == EACCES);
    }
    HOLDS(2, !can_exec());
    HOLDS(3, !can_talk(AF_UNIX, SOCK_STREAM) && errno == EACCES);
    HOLDS(4, !can_talk(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    HOLDS(5, !can_talk(AF_UNIX, SOCK_SEQPACKET));
    HOLDS(6, can_talk(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC) == syslog);
    HOLDS(7, can_talk(AF_INET, SOCK_STREAM));
    HOLDS(8, can_talk(AF_INET, SOCK_DGRAM));
    HOLDS(9, can_talk(AF_NETLINK, SOCK_RAW) == (kind == KIND_HEALTHD));
    HOLDS(10, can_thread());
    HOLDS(11, !can_open(beside, O_RDWR) && errno == EPERM);
    HOLDS(12, SANDBOX_LEAK_CHECK || !can_fork());
    return SANDBOX_LEAK_CHECK ? 0 : touches_nobody();
}

static int worker(void)
{
    return child_of_ours(KIND_WORKER, false);
}

static int healthd(void)
{
    return child_of_ours(KIND_HEALTHD, false);
}

static int worker_with_syslog(void)
{
    return child_of_ours(KIND_WORKER, true);
}

static int worker_with_unix_backends(void)
{
    static const struct sandbox_rule none = {.calls = "no_such_call"};

    if (sandbox_forbid(&none, 1) < 0)
        return NO_FILTERS;
    const struct conf *conf = conf_of("unix:/run/pas.sock", "");
    uint32_t sandbox = 0;

    HOLDS(1, conf && confine_child(KIND_WORKER, conf, &sandbox) == 0);
    HOLDS(2, !can_exec());
    HOLDS(3, can_talk(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    return 0;
}

static int network_half(void)
{
    static const struct sandbox_rule none = {.calls = "no_such_call"};

    if (sandbox_forbid(&none, 1) < 0)
        return NO_FILTERS;
    acmed_sandbox_init(store);
    acmed_sandbox_forkserver();
    HOLDS(1, can_fork()); /* that is what it is for */
    acmed_sandbox_net();
    HOLDS(2, !can_fork());
    HOLDS(3, can_thread());
    HOLDS(4, !can_exec());
    HOLDS(5, can_talk(AF_INET, SOCK_STREAM));
    HOLDS(6, can_talk(AF_INET, SOCK_DGRAM));
    HOLDS(7, can_talk(AF_NETLINK, SOCK_RAW));
    HOLDS(8, !can_talk(AF_UNIX, SOCK_STREAM) && errno == EACCES);
    HOLDS(9, !can_talk(AF_PACKET, SOCK_RAW) && errno == EACCES);
    HOLDS(10, can_open("/etc/passwd", O_RDONLY));
    HOLDS(11, !can_open(beside, O_WRONLY) && errno == EPERM);
    HOLDS(12, !can_open(beside, O_RDWR) && errno == EPERM);
    HOLDS(13, !can_open(beside, O_RDONLY | O_CREAT) && errno == EPERM);
    HOLDS(14, unlink(beside) < 0 && errno == EPERM);
    HOLDS(15, kill(getppid(), 0) < 0 && errno == EPERM);
    HOLDS(17, touches_nobody() == 0);
    HOLDS(16, !sandbox_can_hide() || !can_open(secret, O_RDONLY));
    return 0;
}

static int signing_half(void)
{
    static const struct sandbox_rule none = {.calls = "no_such_call"};
    int pair[2];

    if (sandbox_forbid(&none, 1) < 0)
        return NO_FILTERS;
    acmed_sandbox_init(store);
    acmed_sandbox_signer();
    HOLDS(1, !can_talk(AF_INET, SOCK_STREAM) && errno == EACCES);
    HOLDS(2, !can_talk(AF_INET6, SOCK_DGRAM) && errno == EACCES);
    HOLDS(3, !can_talk(AF_NETLINK, SOCK_RAW));
    HOLDS(4, !can_talk(AF_PACKET, SOCK_RAW));
    HOLDS(5, can_talk(AF_UNIX, SOCK_STREAM));
    HOLDS(6, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    HOLDS(7, !can_exec());
    HOLDS(8, SANDBOX_LEAK_CHECK || !can_fork());
    HOLDS(9, can_open(secret, O_RDWR));
    HOLDS(10, SANDBOX_LEAK_CHECK || touches_nobody() == 0);
    return 0;
}

static void make(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    if (fd >= 0)
        close(fd);
}

int main(void)
{
    char clean[64];

    if (under_valgrind()) {
        pass("not under valgrind");
        return done();
    }
    if (!mkdtemp(root))
        return 1;
    /* A worker may read what lies beside the store, but not what lies further up. */
    snprintf(store, sizeof store, "%s/deep", root);
    mkdir(store, 0700);
    snprintf(store, sizeof store, "%s/deep/store", root);
    snprintf(secret, sizeof secret, "%s/key.pem", store);
    snprintf(beside, sizeof beside, "%s/ca.pem", root);
    mkdir(store, 0700);
    make(secret);
    make(beside);
    in_child(lists, "calls and arguments");
    in_child(twice, "filters add up, over fork()");
    in_child(hides, "a folder is hidden");
    in_child(hides_nothing, "one that is not there");
    in_child(network_half, "the network half");
    in_child(worker, "a worker");
    in_child(healthd, "healthd");
    in_child(worker_with_syslog, "a worker whose access log goes to syslog");
    in_child(worker_with_unix_backends, "a worker with a backend at a unix socket");
    in_child(signing_half, "the signing half");
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
