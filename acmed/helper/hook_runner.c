#include "acmed/helper/hook_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/helper/hook.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    OURS_MAX = 16,
    ENV_MAX = 256,        /* variables of our environment that are passed on */
    GRACE_MS = 10 * 1000, /* acmed enforces the deadline, but it may have died */
    SAID_READS = 16,      /* reads per turn: the output may be endless */
};

/* The program's output on its way to the log. The program does not write to the log itself,
 * because maybe nobody reads there. */
struct said {
    int fd; /* -1: end of output */
    unsigned lines;
    size_t n;
    char line[HOOK_LINE + 1];
    char last[HOOK_LAST];
};

/* A last line of blanks would hide the one that says why. */
static bool is_visible(const char *line)
{
    for (; *line; line++)
        if ((unsigned char)*line > ' ' && *line != 0x7f)
            return true;
    return false;
}

static void said_line(struct said *said)
{
    said->line[said->n] = '\0';
    if (is_visible(said->line))
        snprintf(said->last, sizeof said->last, "%.*s", HOOK_LAST - 1, said->line);
    if (said->n > 0 && ++said->lines <= HOOK_LINES)
        log_info("hook: %s", said->line);
    else if (said->n > 0 && said->lines == HOOK_LINES + 1)
        log_info("hook: more than %d lines of output; the rest is not logged", HOOK_LINES);
    said->n = 0;
}

static void said_read(struct said *said)
{
    char bytes[4096];

    for (int i = 0; i < SAID_READS && said->fd >= 0; i++) {
        ssize_t got = read(said->fd, bytes, sizeof bytes);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        for (ssize_t at = 0; at < got; at++) {
            if (bytes[at] == '\n')
                said_line(said);
            else if (said->n < HOOK_LINE) /* a NUL would hide the rest */
                said->line[said->n++] = bytes[at] ? bytes[at] : ' ';
        }
        if (got <= 0)
            fd_close(&said->fd);
    }
}

/* ---- the program */

/* Passes nothing of ours but the pipe for its output: the other descriptors are close-on-exec.
 * Its own process group, so that its children end with it. No ignored signals, unlike acmed. */
static int spawn(pid_t *pid, const char *program, char **env, int output)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    error = posix_spawn(pid, program, &files, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* The environment is the request's variables, and ours except those of pasgate. `text` ends in
 * a NUL. */
static int hook_runner_start(pid_t *pid, const char *program, char *text, size_t n,
                             struct said *said)
{
    int output[2], error;
    char *env[OURS_MAX + ENV_MAX + 1];
    size_t count = 0;
    char *end = text + n;

    if (strcmp(text, program) != 0)
        return EPERM; /* acmed may be compromised */
    for (char *p = text + strlen(text) + 1; p < end && count < OURS_MAX; p += strlen(p) + 1)
        env[count++] = p;
    for (char **e = environ; *e && count < OURS_MAX + ENV_MAX; e++)
        if (strncmp(*e, "PASGATE_", 8) != 0)
            env[count++] = *e;
    env[count] = NULL;
    if (pipe2(output, O_CLOEXEC) < 0)
        return errno;
    error = spawn(pid, program, env, output[1]);
    fd_close(&output[1]);
    if (error || fd_nonblocking(output[0], true) < 0)
        fd_close(&output[0]);
    said->fd = output[0];
    return error;
}

/* ---- one run */

static void on_child(int sig)
{
    (void)sig; /* it only has to wake ppoll() */
}

/* Waits for the end of the run, and kills it at acmed's request or at its deadline. alone: it
 * may continue without acmed. */
static int attend(int fd, pid_t pid, bool alone, const sigset_t *awake, struct said *said)
{
    uint64_t due_ms = clock_mono_ms() + HOOK_DEADLINE_MS + GRACE_MS;
    bool listens = true;
    int status;
    char byte;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd p[] = {{.fd = listens ? fd : -1, .events = POLLIN},
                             {.fd = said->fd, .events = POLLIN}};
        const struct timespec second = {.tv_sec = 1};
        bool kills = clock_mono_ms() >= due_ms;

        if (!kills && ppoll(p, 2, &second, awake) > 0 && p[0].revents) {
            listens = recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
            kills = listens || !alone; /* otherwise acmed has died */
        }
        said_read(said);
        log_flush_due(clock_mono_ms());
        if (!kills)
            continue;
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
    }
    said_read(said);
    said_line(said);
    fd_close(&said->fd);
    return status;
}

static bool is_about_dns(const char *text, size_t n)
{
    static const char event[] = "PASGATE_EVENT=dns-";

    return memmem(text, n, event, sizeof event - 1) != NULL;
}

static _Noreturn void hook_runner_run(int fd, const char *program, char *text, size_t n)
{
    const struct sigaction woken = {.sa_handler = on_child};
    struct hook_started started = {0};
    struct said said = {.fd = -1};
    struct hook_ended ended = {0};
    sigset_t child, awake;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &awake);
    sigaction(SIGCHLD, &woken, NULL);
    fd_close_others(fd);
    started.error = hook_runner_start(&started.pid, program, text, n, &said);
    send(fd, &started, sizeof started, MSG_NOSIGNAL);
    if (started.error)
        _exit(0);
    ended.status = attend(fd, started.pid, !is_about_dns(text, n), &awake, &said);
    memcpy(ended.last, said.last, sizeof ended.last);
    send(fd, &ended, sizeof ended, MSG_NOSIGNAL);
    _exit(0);
}

/* We were started as root or by a service manager: sets the environment of the program's own
 * user, and leaves a directory that it may not even be allowed to enter. */
static void move_in(void)
{
    const struct passwd *user = getpwuid(getuid());

    setenv("HOME", user && user->pw_dir[0] ? user->pw_dir : "/", 1);
    if (user) {
        setenv("USER", user->pw_name, 1);
        setenv("LOGNAME", user->pw_name, 1);
    }
    setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 0);
    if (chdir("/") < 0)
        log_warn("hook: chdir /: %s", strerror(errno));
}

_Noreturn void hook_runner_main(int sock, const char *program)
{
    static char text[HOOK_MESSAGE_MAX + 1];
    ssize_t got;
    int fd;

    prctl(PR_SET_NAME, "acmed-hook", 0, 0, 0);
    fd_close_others(sock);
    move_in();
    signal(SIGCHLD, SIG_IGN); /* children are not waited for */
    for (;;) {
        struct pollfd p = {.fd = sock, .events = POLLIN};
        pid_t pid = 0;

        poll(&p, 1, -1);
        got = fd_recv(sock, text, HOOK_MESSAGE_MAX, &fd);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0)
            _exit(0); /* acmed is gone */
        text[got] = '\0';
        if (fd >= 0)
            pid = fork();
        if (fd >= 0 && pid == 0)
            hook_runner_run(fd, program, text, (size_t)got);
        if (pid < 0) {
            const struct hook_started none = {.error = errno};

            send(fd, &none, sizeof none, MSG_NOSIGNAL);
        }
        fd_close(&fd);
    }
}
