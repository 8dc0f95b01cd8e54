/* The log never waits: pipes, terminals and sockets that nobody reads, shared with others or
 * not; what is lost is counted and told. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sink.h"
#include "t/unit/tap.h"

enum { LINES = 4000, LIMIT_S = 20 };

static char got[1024 * 1024];
static size_t n_got;

/* What stands in it, without waiting for more. */
static void read_there(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n;

    while (n_got < sizeof got - 1 && poll(&p, 1, 0) == 1 &&
           (n = read(fd, got + n_got, sizeof got - 1 - n_got)) > 0)
        n_got += (size_t)n;
    got[n_got] = '\0';
}

/* Lines that came, and those that are not whole. */
static int count(const char *what, int *torn)
{
    int n = 0;

    *torn = 0;
    for (char *line = got, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        n += strstr(line, what) != NULL;
        *torn += strstr(line, " pasgate[") == NULL;
        *end = '\n';
    }
    return n;
}

static uint64_t told_lost(void)
{
    uint64_t n = 0;

    static const char words[] = "log lines lost: ";

    for (const char *p = got; (p = strstr(p, words)); p++)
        n += strtoull(p + sizeof words - 1, NULL, 10);
    return n;
}

/* More lines than anything takes; then a reader comes. */
static void flood(const char *name, int to, int from)
{
    int torn, null = open("/dev/null", O_WRONLY);

    got[n_got = 0] = '\0';
    log_to_fd(null);
    log_flush(); /* what was lost before is told there */
    log_lost_since();
    log_to_fd(to);
    close(null);
    alarm(LIMIT_S); /* the old way: this ends the test */
    for (int i = 0; i < LINES; i++)
        log_info("line %d of a flood that nobody reads, which is as long as most lines are", i);
    alarm(0);
    uint64_t lost = log_lost_since();
    ok(lost > 0, "%s: lines are lost, %d of them", name, (int)lost);
    uint64_t end = clock_mono_ms() + LIMIT_S * 1000;
    while (told_lost() == 0 && clock_mono_ms() < end) {
        read_there(from);
        log_flush();
    }
    is_int(told_lost(), lost, "%s: and that is told when they are read", name);
    is_int(count("of a flood", &torn) + (int)lost, LINES, "%s: all others came", name);
    is_int(torn, 0, "%s: whole", name);
    is_int(log_lost_since(), 0, "%s: none since", name);
    log_info("as usual");
    read_there(from);
    ok(strstr(got, ": as usual") != NULL, "%s: then all is as before", name);
    log_to_fd(STDERR_FILENO);
}

static void pipes(void)
{
    int fd[2];

    if (!ok(pipe(fd) == 0, "pipe"))
        return;
    flood("a shared pipe", fd[1], fd[0]);
    ok(!(fcntl(fd[1], F_GETFL) & O_NONBLOCK), "which blocks as before for who shares it");
    int ours = sink_reopen(fd[1]);
    ok(ours > 2 && (fcntl(ours, F_GETFL) & O_NONBLOCK), "a pipe is opened again");
    ok(!(fcntl(fd[1], F_GETFL) & O_NONBLOCK), "which changes nothing for others");
    flood("a pipe of our own", ours, fd[0]);
    close(fd[0]);
    log_to_fd(ours);
    log_info("nobody will ever read this");
    log_flush();
    log_flush();
    is_int(log_lost_since(), 1, "a line for a pipe without a reader is lost once");
    log_to_fd(STDERR_FILENO);
    close(ours);
    close(fd[1]);
}

/* poll(2) saw room, and somebody else took it. */
static void race(void)
{
    char bytes[PIPE_BUF];
    int fd[2], rounds = 0;
    uint64_t began, longest = 0, end = clock_mono_ms() + 2000;
    struct sink sink;

    memset(bytes, '\n', sizeof bytes);
    if (!ok(pipe(fd) == 0, "pipe"))
        return;
    sink_open(&sink, fd[1]);
    pid_t other = fork();
    if (other == 0) {
        for (;;) /* blocks, and takes whatever place there is */
            if (write(fd[1], bytes, sizeof bytes) < 0)
                _exit(0);
    }
    alarm(LIMIT_S);
    while (clock_mono_ms() < end) {
        char one[PIPE_BUF];

        began = clock_mono_ms();
        sink_write(&sink, bytes, sizeof bytes);
        if (clock_mono_ms() - began > longest)
            longest = clock_mono_ms() - began;
        rounds++;
        if (read(fd[0], one, sizeof one) < 0)
            break;
    }
    alarm(0);
    kill(other, SIGKILL);
    ok(rounds > 0, "beside a writer that fills it: %d rounds, the longest took %d ms", rounds,
       (int)longest);
    close(fd[0]);
    close(fd[1]);
}

static void terminal(void)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    int slave = -1;

    if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0)
        slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (!ok(slave >= 0, "a terminal"))
        return;
    is_int(sink_reopen(master), -1, "its other side is not opened again");
    int ours = sink_reopen(slave);
    ok(ours > 2, "it is");
    flood("a terminal of our own", ours, master);
    flood("a shared terminal", slave, master);
    close(ours);
    close(slave);
    close(master);
}

static void sockets(void)
{
    int fd[2];

    if (!ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socket"))
        return;
    is_int(sink_reopen(fd[1]), -1, "a socket cannot be opened again");
    flood("a socket", fd[1], fd[0]);
    close(fd[0]);
    close(fd[1]);
}

static void files(void)
{
    char name[] = "/tmp/pasgate-log-XXXXXX";
    int fd = mkstemp(name), torn;

    got[n_got = 0] = '\0';
    log_to_fd(fd);
    for (int i = 0; i < LINES; i++)
        log_info("of a file %d", i);
    log_plain("%s:%d: as it is \"", "file", 7);
    log_plain("%s", "a plain line\nwith a forged one");
    log_to_fd(STDERR_FILENO);
    lseek(fd, 0, SEEK_SET);
    read_there(fd);
    is_int(count("of a file", &torn), LINES, "a file takes all");
    ok(strstr(got, "\nfile:7: as it is \"\n") != NULL, "a plain line");
    ok(strstr(got, "\na plain line\\nwith a forged one\n") != NULL, "  escaped like any other");
    is_int(log_lost_since(), 0, "nothing is lost");
    close(fd);
    unlink(name);
    log_to_fd(open("/dev/full", O_WRONLY));
    for (int i = 0; i < LINES; i++)
        log_info("a full disk, on which there is no place for another line");
    ok(log_lost_since() > 0, "a full disk loses lines");
}

/* A line is never longer than a pipe takes at once. */
static void long_line(void)
{
    char text[8192];
    int fd[2];

    memset(text, 1, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    got[n_got = 0] = '\0';
    if (!ok(pipe(fd) == 0, "pipe"))
        return;
    log_to_fd(fd[1]);
    log_info("%s", text);
    log_to_fd(STDERR_FILENO);
    read_there(fd[0]);
    ok(n_got > 1000 && n_got <= PIPE_BUF && strchr(got, '\n') == got + n_got - 1,
       "a long line is cut: %d bytes", (int)n_got);
    close(fd[0]);
    close(fd[1]);
}

/* A child does not say what its parent still holds. */
static void child(void)
{
    int fd[2], torn;

    got[n_got = 0] = '\0';
    if (!ok(pipe(fd) == 0, "pipe"))
        return;
    fcntl(fd[1], F_SETPIPE_SZ, 4096);
    log_to_fd(fd[1]);
    for (int i = 0; i < 200; i++)
        log_info("of a parent %d", i);
    pid_t pid = fork();
    if (pid == 0) {
        log_flush();
        _exit(0);
    }
    while (kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) == 0)
        read_there(fd[0]);
    for (int i = 0; i < 50; i++) {
        log_flush();
        read_there(fd[0]);
    }
    log_to_fd(STDERR_FILENO);
    is_int(count("of a parent", &torn), 200, "each line once");
    close(fd[0]);
    close(fd[1]);
}

/* Of the next line a file takes 30 bytes: the disk is full. Returns the descriptor. */
static int tear(const char *path)
{
    const struct rlimit small = {30, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

    log_to_fd(fd);
    setrlimit(RLIMIT_FSIZE, &small);
    log_info("of a full disk: torn");
    setrlimit(RLIMIT_FSIZE, &all);
    return fd;
}

static void is_written(const char *path, int whole, int halves, const char *name)
{
    int fd = open(path, O_RDONLY), torn;

    log_to_fd(STDERR_FILENO);
    got[n_got = 0] = '\0';
    read_there(fd);
    close(fd);
    is_int(count("of a full disk", &torn), whole, "%s: whole lines", name);
    is_int(torn, halves, "  and halves");
}

static void half_lines(void)
{
    char path[] = "/tmp/pasgate-log-XXXXXX", next[] = "/tmp/pasgate-log-XXXXXX";
    int fd, copy;

    close(mkstemp(path));
    close(mkstemp(next));
    fd = tear(path);
    log_flush();
    log_info("of a full disk: another");
    is_written(path, 2, 0, "room again");
    close(fd);

    fd = tear(path);
    copy = dup(fd);
    close(fd);
    log_flush(); /* the rest is lost */
    dup2(copy, fd);
    log_info("of a full disk: another");
    is_written(path, 1, 1, "the rest was lost");
    close(copy);
    close(fd);

    fd = tear(path);
    copy = open(path, O_WRONLY | O_APPEND);
    log_to_fd(copy);
    log_info("of a full disk: another");
    is_written(path, 1, 1, "opened again");
    close(copy);
    close(fd);

    fd = tear(path);
    copy = open(next, O_WRONLY | O_APPEND);
    log_to_fd(copy);
    log_info("of a full disk: another");
    is_written(next, 1, 0, "another file");
    ok(got[0] != '\n', "  without an empty line first");
    close(copy);
    close(fd);
    unlink(path);
    unlink(next);
    log_lost_since();
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "pasgate");
    log_lost_since();
    files();
    pipes();
    race();
    terminal();
    sockets();
    long_line();
    half_lines();
    child();
    return done();
}
