#include "acmed/helper/hook_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/helper/hook.h"
#include "acmed/helper/hook_output.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    OURS_MAX = 16,
    ENV_MAX = 256,        /* variables of our environment that are passed on */
    GRACE_MS = 10 * 1000, /* acmed enforces the deadline, but it may have died */
};

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
                             struct hook_output *said)
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
static int attend(int fd, pid_t pid, bool alone, const sigset_t *awake,
                  struct hook_output *said)
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
        hook_output_read(said);
        log_flush_due(clock_mono_ms());
        if (!kills)
            continue;
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
    }
    hook_output_read(said);
    hook_output_end(said);
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
    struct hook_output said = {.fd = -1};
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
