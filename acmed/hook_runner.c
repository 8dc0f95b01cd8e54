#include "acmed/hook_runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/hook.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    OURS_MAX = 16,
    ENV_MAX = 256,        /* variables that are passed on */
    GRACE_MS = 10 * 1000, /* the deadline is acmed's, but it may have died */
};

/* ---- the program */

/* Nothing of ours but stderr: the other descriptors are close-on-exec; a group of its own, so
 * that what it started ends with it; and no signal ignored, as acmed does. */
static int spawn(pid_t *pid, const char *program, char **env)
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
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    error = posix_spawn(pid, program, &files, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* The request's variables, and ours that are none of pasgate's. `text` ends in a NUL. */
static int start(pid_t *pid, const char *program, char *text, size_t n)
{
    char *env[OURS_MAX + ENV_MAX + 1];
    size_t count = 0;
    char *end = text + n;

    if (strcmp(text, program) != 0)
        return EPERM; /* acmed is not itself any more */
    for (char *p = text + strlen(text) + 1; p < end && count < OURS_MAX; p += strlen(p) + 1)
        env[count++] = p;
    for (char **e = environ; *e && count < OURS_MAX + ENV_MAX; e++)
        if (strncmp(*e, "PASGATE_", 8) != 0)
            env[count++] = *e;
    env[count] = NULL;
    return spawn(pid, program, env);
}

/* ---- one run */

static void on_child(int sig)
{
    (void)sig; /* only wakes ppoll() */
}

/* Its end: by itself, by acmed, by its deadline. */
static int attend(int fd, pid_t pid, const sigset_t *awake)
{
    uint64_t due_ms = clock_mono_ms() + HOOK_DEADLINE_MS + GRACE_MS;
    bool listens = true;
    int status;
    char byte;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct pollfd p = {.fd = listens ? fd : -1, .events = POLLIN};
        const struct timespec second = {.tv_sec = 1};
        bool kills = clock_mono_ms() >= due_ms;

        if (!kills && ppoll(&p, 1, &second, awake) > 0) {
            kills = recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
            listens = kills; /* else acmed has died */
        }
        if (!kills)
            continue;
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
    }
    return status;
}

static _Noreturn void run(int fd, const char *program, char *text, size_t n)
{
    const struct sigaction woken = {.sa_handler = on_child};
    struct hook_started started = {0};
    sigset_t child, awake;
    int status;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &awake);
    sigaction(SIGCHLD, &woken, NULL);
    fd_close_others(fd);
    started.error = start(&started.pid, program, text, n);
    send(fd, &started, sizeof started, MSG_NOSIGNAL);
    if (started.error)
        _exit(0);
    status = attend(fd, started.pid, &awake);
    send(fd, &status, sizeof status, MSG_NOSIGNAL);
    _exit(0);
}

_Noreturn void hook_runner_main(int sock, const char *program)
{
    static char text[HOOK_MESSAGE_MAX + 1];
    ssize_t got;
    int fd;

    prctl(PR_SET_NAME, "acmed-hook", 0, 0, 0);
    fd_close_others(sock);
    signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
    for (;;) {
        struct pollfd p = {.fd = sock, .events = POLLIN};
        pid_t pid = 0;

        poll(&p, 1, -1);
        got = fd_recv(sock, text, HOOK_MESSAGE_MAX, &fd);
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got <= 0)
            _exit(0); /* acmed has gone */
        text[got] = '\0';
        if (fd >= 0)
            pid = fork();
        if (fd >= 0 && pid == 0)
            run(fd, program, text, (size_t)got);
        if (pid < 0)
            log_warn("hook: fork: %s", strerror(errno)); /* acmed sees end-of-file */
        fd_close(&fd);
    }
}
