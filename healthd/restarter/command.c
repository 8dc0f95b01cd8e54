/* A restart by a program of the operator's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"

enum {
    LOOK_MS = 50, /* between two polls, if the kernel has no pidfd (before 5.3) */
    READ_BYTES = 64 * 1024,
    READ_TURNS = 16,  /* reads before the clock is checked again: output may be endless */
    KILLED_MS = 5000, /* for a killed process to end: it may hang in the kernel */
};

void restart_tell(struct restart_result *result, bool done, const char *fmt, ...)
{
    va_list ap;

    result->done = done;
    va_start(ap, fmt);
    vsnprintf(result->text, sizeof result->text, fmt, ap);
    va_end(ap);
}

const char *restart_seconds(char out[RESTART_TIME], uint64_t ms)
{
    snprintf(out, RESTART_TIME, "%llu.%llu s", (unsigned long long)ms / 1000,
             (unsigned long long)ms % 1000 / 100);
    return out;
}

/* ---- environment */

char **restart_environment(const struct restart_call *call, const char *path)
{
    const struct conf_backend *b = call->backend;
    char address[CONF_ADDRESS_LEN];
    const char *const vars[][2] = {
        {"PATH", path},
        {"PASGATE_BACKEND", b->name},
        {"PASGATE_ADDRESS", address},
        {"PASGATE_POOL", call->pool},
        {"PASGATE_INCIDENT", call->incident},
        {"PASGATE_REASON", call->reason},
    };
    enum { VARS = sizeof vars / sizeof *vars };
    size_t size = (VARS + 1) * sizeof(char *);

    conf_backend_address(b, address);
    for (int i = 0; i < VARS; i++)
        size += strlen(vars[i][0]) + 1 + strlen(vars[i][1]) + 1;
    char **env = malloc(size);
    if (!env)
        return NULL;
    char *at = (char *)(env + VARS + 1);
    for (int i = 0; i < VARS; i++) {
        env[i] = at;
        at = stpcpy(stpcpy(stpcpy(at, vars[i][0]), "="), vars[i][1]) + 1;
    }
    env[VARS] = NULL;
    return env;
}

/* ---- start */

struct program {
    pid_t pid;
    int pidfd;  /* -1: this kernel has none */
    int out;    /* its output; -1 after end-of-file */
    int status; /* wait status, once it is reaped */
    bool ended; /* it has ended, but is not reaped: its pid and group are still its own */
};

/* In the child, between fork and exec. */
static _Noreturn void command_become(char **argv, char **env, int out, int failed)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    setpgid(0, 0);
    for (int i = 1; i < NSIG; i++) /* signals that we ignore would stay ignored across exec */
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0 || chdir("/") < 0)
        goto fail;
    /* Our own descriptors are close-on-exec already; this is for inherited ones. */
    close_range(STDERR_FILENO + 1, UINT32_MAX, CLOSE_RANGE_CLOEXEC);
    environ = env;
    execvp(argv[0], argv);
fail:;
    int error = errno;
    ssize_t sent = write(failed, &error, sizeof error);
    (void)sent;
    _exit(127);
}

static char **make_argv(const struct conf_backend *b)
{
    char **argv = calloc(b->n_restart_command + 1, sizeof *argv);

    for (size_t i = 0; argv && i < b->n_restart_command; i++)
        argv[i] = (char *)(uintptr_t)b->restart_command[i];
    return argv;
}

static int pidfd_open_(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0U);
#else
    (void)pid;
    return -1;
#endif
}

/* 0, or an error number: a failure of the host, or why the program cannot be run. */
static int command_start(struct program *program, char **argv, char **env)
{
    int out[2] = {-1, -1}, failed[2] = {-1, -1}, error = 0;

    *program = (struct program){.pidfd = -1, .out = -1};
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0 ||
        fd_nonblocking(out[0], true) < 0 || (program->pid = fork()) < 0) {
        error = errno;
        goto end;
    }
    if (program->pid == 0)
        command_become(argv, env, out[1], failed[1]);
    setpgid(program->pid, program->pid); /* either may be first */
    fd_close(&failed[1]);
    if (read(failed[0], &error, sizeof error) == (ssize_t)sizeof error) {
        waitpid(program->pid, NULL, 0);
        goto end;
    }
    error = 0;
    program->pidfd = pidfd_open_(program->pid);
    program->out = out[0];
    out[0] = -1;
end:
    fd_close(&out[0]);
    fd_close(&out[1]);
    fd_close(&failed[0]);
    fd_close(&failed[1]);
    return error;
}

/* ---- running and end */

static void read_output(struct program *program, struct tail *said)
{
    char bytes[READ_BYTES];

    for (int i = 0; i < READ_TURNS && program->out >= 0; i++) {
        ssize_t got = read(program->out, bytes, sizeof bytes);

        if (got > 0)
            tail_add(said, bytes, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            fd_close(&program->out);
        else
            return;
    }
}

/* true: it has ended. It stays a zombie, so that nobody else can get its pid or its group. */
static bool command_has_ended(const struct program *program)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == program->pid;
}

/* Waits until the program ends, or until the deadline; false: it still runs. */
static bool command_wait_until(struct program *program, struct tail *said, uint64_t deadline_ms)
{
    while (!program->ended) {
        uint64_t now = clock_mono_ms();
        int left = now < deadline_ms ? (int)(deadline_ms - now) : 0;
        struct pollfd fds[2] = {{.fd = program->out, .events = POLLIN},
                                {.fd = program->pidfd, .events = POLLIN}};

        if (program->pidfd < 0 && left > LOOK_MS)
            left = LOOK_MS;
        poll(fds, 2, left);
        /* Its background processes may hold the pipe open: the end of the
         * program itself counts. */
        program->ended = command_has_ended(program);
        read_output(program, said);
        if (!program->ended && clock_mono_ms() >= deadline_ms)
            return false;
    }
    return true;
}

/* From here on its pid and its group may belong to others. */
static void command_reap(struct program *program)
{
    if (program->ended)
        waitpid(program->pid, &program->status, 0);
}

/* Ends a program whose time is over. */
static void command_stop(struct program *program, const struct restart_call *call,
                         struct restart_result *result)
{
    const struct conf_backend *b = call->backend;
    const char *how = "and SIGTERM ended it";
    char limit[RESTART_TIME];

    kill(-program->pid, SIGTERM);
    if (!command_wait_until(program, call->said, clock_mono_ms() + b->restart_stop_ms)) {
        kill(-program->pid, SIGKILL);
        how = command_wait_until(program, call->said, clock_mono_ms() + KILLED_MS)
                  ? "ignored SIGTERM and was killed"
                  : "and even SIGKILL did not end it";
    }
    /* Also what it started. Not after the reaping: its group might be another's by then. */
    kill(-program->pid, SIGKILL);
    command_reap(program);
    restart_tell(result, false, "%.80s did not end within %s, %s", b->restart_command[0],
                 restart_seconds(limit, b->restart_timeout_ms), how);
}

static void tell_end(struct program *program, const struct restart_call *call, uint64_t took_ms,
                     struct restart_result *result)
{
    const char *name = call->backend->restart_command[0];
    char took[RESTART_TIME], line[TABLE_REASON], quoted[TABLE_REASON + 8] = "";

    if (*tail_last_line(call->said, line, sizeof line))
        snprintf(quoted, sizeof quoted, ": %s", line);
    restart_seconds(took, took_ms);
    command_reap(program);
    if (WIFSIGNALED(program->status))
        restart_tell(result, false, "%.60s was ended by signal %d (%s) after %s%s", name,
                     WTERMSIG(program->status), strsignal(WTERMSIG(program->status)), took,
                     quoted);
    else if (WEXITSTATUS(program->status) != 0)
        restart_tell(result, false, "%.60s gave exit code %d after %s%s", name,
                     WEXITSTATUS(program->status), took, quoted);
    else
        restart_tell(result, true, "%.60s succeeded after %s%s", name, took, quoted);
}

void restart_by_command(const struct restart_call *call, struct restart_result *result)
{
    static const char usual_path[] =
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const char *path = getenv("PATH");
    char **env = restart_environment(call, path && *path ? path : usual_path);
    char **argv = make_argv(call->backend);
    uint64_t began = clock_mono_ms();
    struct program program;
    int error = ENOMEM;

    if (env && argv)
        error = command_start(&program, argv, env);
    if (error)
        restart_tell(result, false, "cannot run %.80s: %s", call->backend->restart_command[0],
                     strerror(error));
    else if (command_wait_until(&program, call->said,
                                began + call->backend->restart_timeout_ms))
        tell_end(&program, call, clock_mono_ms() - began, result);
    else
        command_stop(&program, call, result);
    if (!error) {
        read_output(&program, call->said);
        fd_close(&program.out);
        fd_close(&program.pidfd);
    }
    free(argv);
    free(env);
}
