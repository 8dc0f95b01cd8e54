#include "acmed/helper/forkserver.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acmed/net/net.h"
#include "acmed/sandbox.h"
#include "base/environment.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    CPU_LIMIT_S = 60, /* per conversation, which needs a tenth of a second; a child in a busy
                         loop would not notice that its socket was closed */
};

/* Ends this process when its parent ends, for whatever reason. */
static void die_with(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
}

static void hatch(int fd)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        log_warn("network helper: fork: %m"); /* acmed sees end-of-file */
    if (pid != 0)
        return;
    die_with(parent);
    signal(SIGCHLD, SIG_DFL);
    setrlimit(RLIMIT_CPU, &(struct rlimit){CPU_LIMIT_S, CPU_LIMIT_S});
    fd_close_others(fd);
    acmed_sandbox_net();
    net_main(fd);
}

static _Noreturn void forkserver_main(int sock)
{
    char byte;
    int fd;

    prctl(PR_SET_NAME, "acmed-net", 0, 0, 0);
    fd_close_others(sock);
    signal(SIGCHLD, SIG_IGN); /* children are not waited for */
    signal(SIGHUP, SIG_IGN);  /* signals meant for other processes */
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    environment_wipe();
    acmed_sandbox_forkserver();
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

static int forkserver_make_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

int forkserver_open(void)
{
    pid_t parent = getpid(), pid;
    int pair[2];

    if (forkserver_make_pair(pair) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        die_with(parent);
        forkserver_main(pair[1]);
    }
    fd_close(&pair[1]);
    if (pid < 0)
        fd_close(&pair[0]);
    return pair[0];
}

int forkserver_spawn(int forkserver)
{
    int pair[2];

    if (forkserver_make_pair(pair) < 0)
        return -1;
    if (fd_nonblocking(pair[0], true) < 0 || fd_send(forkserver, "", 1, pair[1]) != 1)
        fd_close(&pair[0]);
    fd_close(&pair[1]);
    return pair[0];
}
