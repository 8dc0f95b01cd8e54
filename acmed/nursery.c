#include "acmed/nursery.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acmed/confine.h"
#include "acmed/net.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    CPU_LIMIT_S = 60, /* of one conversation, which needs a tenth of a second: one that spins
                         would not see that its socket was closed */
};

/* Dies with its parent, whichever way that goes. */
static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
}

/* What libraries look at when they find a host, a proxy or roots. */
static bool is_wanted(const char *variable, size_t n)
{
    static const char *const wanted[] = {
        "PATH",         "LANG",         "TZ",          "LD_LIBRARY_PATH", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "OPENSSL_CONF", "RES_OPTIONS", "LOCALDOMAIN",     "HOSTALIASES",
        "http_proxy",   "https_proxy",  "HTTPS_PROXY", "all_proxy",       "ALL_PROXY",
        "no_proxy",     "NO_PROXY",
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strlen(wanted[i]) == n && memcmp(wanted[i], variable, n) == 0)
            return true;
    return n > 11 && memcmp(variable + n - 11, "SAN_OPTIONS", 11) == 0;
}

/* Settings, keys among them, may be written as ${NAME}. */
static void wipe_environment(void)
{
    for (char **e = environ; e && *e; e++) {
        size_t n = strcspn(*e, "=");

        if ((*e)[n] && !is_wanted(*e, n))
            explicit_bzero(*e + n + 1, strlen(*e + n + 1));
    }
}

static void hatch(int fd)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        log_warn("network half: fork: %m"); /* acmed sees end-of-file */
    if (pid != 0)
        return;
    die_with(parent);
    signal(SIGCHLD, SIG_DFL);
    setrlimit(RLIMIT_CPU, &(struct rlimit){CPU_LIMIT_S, CPU_LIMIT_S});
    fd_close_others(fd);
    confine_net();
    net_main(fd);
}

static _Noreturn void nursery_main(int sock)
{
    char byte;
    int fd;

    prctl(PR_SET_NAME, "acmed-net", 0, 0, 0);
    fd_close_others(sock);
    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    signal(SIGHUP, SIG_IGN);  /* meant for others */
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    wipe_environment();
    confine_nursery();
    for (;;) {
        struct pollfd p = {.fd = sock, .events = POLLIN};
        ssize_t got;

        poll(&p, 1, -1);
        got = fd_recv(sock, &byte, 1, &fd);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            _exit(0);
        if (fd >= 0)
            hatch(fd);
        fd_close(&fd);
    }
}

static int make_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int nursery_open(void)
{
    pid_t parent = getpid(), pid;
    int pair[2];

    if (make_pair(pair) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        die_with(parent);
        nursery_main(pair[1]);
    }
    fd_close(&pair[1]);
    if (pid < 0)
        fd_close(&pair[0]);
    return pair[0];
}

int nursery_hatch(int nursery)
{
    int pair[2];

    if (make_pair(pair) < 0)
        return -1;
    if (fd_nonblocking(pair[0], true) < 0 || fd_send(nursery, "", 1, pair[1]) != 1)
        fd_close(&pair[0]);
    fd_close(&pair[1]);
    return pair[0];
}
