/* For LD_PRELOAD: tries, from inside a process of the service and once that is confined, what
 * an attacker in it would try. A worker or healthd begins with it when it finds $TEST_INSIDE, a
 * file with lines "name path", in its first wait for events after a second. Each attempt that
 * works is a line "INSIDE <process> can <what>" on standard error; at the end comes "INSIDE
 * <process> done". */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char self[16], lines[4096];
static struct timespec first;

__attribute__((constructor)) static void read_list(void)
{
    const char *path = getenv("TEST_INSIDE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0 && read(fd, lines, sizeof lines - 1) < 0)
        lines[0] = '\0';
    if (fd >= 0)
        close(fd);
}

static void say(const char *form, const char *what)
{
    dprintf(STDERR_FILENO, form, self, what);
}

static void found(int works, const char *what)
{
    if (works)
        say("INSIDE %s can %s\n", what);
}

static void try_file(const char *what, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    found(fd >= 0, what);
    if (fd >= 0)
        close(fd);
}

static void try_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%.100s", path);
    found(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect-unix");
    if (fd >= 0)
        close(fd);
}

static void try_port(const char *what, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    found(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, what);
    close(fd);
}

/* Others' pages of the table, at their final place (shm/table.c): read-only, they must stay so.
 */
static void *table;

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t from)
{
    void *got = (void *)syscall(SYS_mmap, at, n, protection, flags, fd, from);

    if ((flags & MAP_FIXED) && (flags & MAP_SHARED) && protection == PROT_READ)
        table = got;
    return got;
}

static void try_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    found(mprotect(at, 4096, PROT_READ | PROT_EXEC) == 0, "mprotect-code");
    found(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
              MAP_FAILED,
          "map-code");
    found(memfd_create("x", 0) >= 0, "memfd");
    munmap(at, 4096);
}

static void try_others(pid_t other)
{
    found(kill(other, 0) == 0, "kill");
    found(kill(getpid(), 0) == 0, "kill-itself");
    found(ptrace(PTRACE_ATTACH, other, 0, 0) == 0, "ptrace");
    found(syscall(SYS_pidfd_open, other, 0) >= 0, "pidfd");
    found(syscall(SYS_unshare, 0x10000000) == 0, "unshare");
    found(syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno == EFAULT, "io_uring");
    found(fork() > 0, "fork");
}

static void try_one(const char *what, const char *arg)
{
    char *const argv[] = {(char *)(uintptr_t)arg, NULL};

    if (strcmp(what, "exec") == 0)
        found(syscall(SYS_execve, arg, argv, NULL) == 0 || errno != EPERM, what);
    else if (strncmp(what, "write", 5) == 0)
        try_file(what, arg, O_WRONLY | O_CREAT);
    else if (strncmp(what, "read", 4) == 0)
        try_file(what, arg, O_RDONLY);
    else if (strcmp(what, "unix") == 0)
        try_unix(arg);
    else if (strncmp(what, "port", 4) == 0)
        try_port(what, atoi(arg));
    else if (strcmp(what, "pid") == 0)
        try_others(atoi(arg));
}

static void try_all(void)
{
    char what[64], arg[512];
    int used;

    try_code();
    found(!table || mprotect(table, 4096, PROT_READ | PROT_WRITE) == 0, "write-table");
    for (const char *p = lines; sscanf(p, "%63s %511s%n", what, arg, &used) == 2; p += used)
        try_one(what, arg);
    say("INSIDE %s done%s\n", "");
}

static void turn(void)
{
    struct timespec now;
    int before = errno;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!*lines || first.tv_sec < 0)
        return;
    if (!*self) {
        prctl(PR_GET_NAME, self, 0, 0, 0);
        if (strcmp(self, "pasgate:worker") != 0 && strcmp(self, "pasgate:healthd") != 0) {
            *self = '\0';
            return;
        }
        first = now;
    }
    if (now.tv_sec - first.tv_sec >= 2) {
        first.tv_sec = -1;
        try_all();
    }
    errno = before;
}

int epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
    turn();
    return (int)syscall(SYS_epoll_pwait, fd, events, n, ms, NULL, 8);
}

int poll(struct pollfd *fds, nfds_t n, int ms)
{
    struct timespec limit = {ms / 1000, ms % 1000 * 1000000};

    turn();
    return (int)syscall(SYS_ppoll, fds, n, ms < 0 ? NULL : &limit, NULL, 8);
}
