#include "acmed/helper/hook.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/helper/hook_runner.h"
#include "base/escape.h"
#include "base/fd.h"

enum { VALUE_MAX = 4096 + 256 }; /* bytes of a variable, for example a path */

/* The message to the runner. `full`: it did not fit, and the run is not started. */
struct text {
    char bytes[HOOK_MESSAGE_MAX];
    size_t n;
    bool full;
};

static int runner = -1;

__attribute__((format(printf, 2, 3))) static void put(struct text *to, const char *fmt, ...)
{
    size_t room = sizeof to->bytes - to->n;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(to->bytes + to->n, room, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < room)
        to->n += (size_t)n;
    else
        to->full = true;
}

static void end_string(struct text *to)
{
    if (to->n < sizeof to->bytes)
        to->bytes[to->n++] = '\0';
}

static void hook_set(struct text *to, const char *name, const char *value)
{
    put(to, "PASGATE_%s=%.*s", name, VALUE_MAX, value ? value : "");
    end_string(to);
}

static void hook_set_names(struct text *to, const struct hook_call *call)
{
    put(to, "PASGATE_NAMES=");
    for (size_t i = 0; i < call->n_names; i++)
        put(to, "%s%s", i ? " " : "", call->names[i]);
    end_string(to);
}

static void hook_fill(struct text *to, const struct hook_call *call)
{
    to->n = 0;
    to->full = false;
    put(to, "%s", call->program);
    end_string(to);
    hook_set(to, "EVENT", call->event);
    hook_set(to, "CERTIFICATE", call->certificate);
    hook_set_names(to, call);
    hook_set(to, "CHAIN", call->chain);
    hook_set(to, "KEY", call->key);
    hook_set(to, "ERROR", call->error);
    if (call->dns_name) {
        hook_set(to, "DNS_NAME", call->dns_name);
        hook_set(to, "DNS_TARGET", call->dns_target);
        hook_set(to, "DNS_VALUE", call->dns_value);
    }
}

/* ---- the runner process */

int hook_open(const char *program)
{
    int pair[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    program = strdup(program); /* the child must not use the configuration */
    pid = program ? fork() : -1;
    if (pid == 0)
        hook_runner_main(pair[1], program);
    free((void *)(uintptr_t)program);
    fd_close(&pair[1]);
    if (pid < 0 || fd_nonblocking(pair[0], true) < 0)
        fd_close(&pair[0]);
    runner = pair[0];
    return runner < 0 ? -1 : 0;
}

int hook_fd(void)
{
    return runner;
}

void hook_close(void)
{
    fd_close(&runner);
}

/* ---- one run */

/* 0, or an errno. */
static int hook_ask(struct hook *hook, const struct text *text)
{
    struct hook_started started;
    int pair[2], error = 0;
    ssize_t got;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    if (fd_send(runner, text->bytes, text->n, pair[1]) < 0)
        error = errno;
    fd_close(&pair[1]);
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    if (!error && poll(&p, 1, HOOK_START_MS) <= 0)
        error = ETIMEDOUT;
    if (!error) {
        got = recv(pair[0], &started, sizeof started, MSG_DONTWAIT);
        error = got == sizeof started ? started.error : ECANCELED;
    }
    if (error) {
        send(pair[0], "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* kill it if it starts later */
        fd_close(&pair[0]);
        return error;
    }
    hook->pid = started.pid;
    hook->fd = pair[0];
    return 0;
}

/* ENOENT may also mean that the script's interpreter is missing. */
static const char *start_error(const char *program, int error)
{
    if (error == ENOENT && access(program, F_OK) == 0)
        return "the interpreter named in its first line does not exist";
    if (error == ECANCELED)
        return "the process that runs it was killed";
    if (error == E2BIG)
        return "too many names for its environment";
    return strerror(error);
}

const char *hook_missing(const char *program)
{
    return access(program, X_OK) == 0 ? NULL : strerror(errno);
}

int hook_start(struct hook *hook, const struct hook_call *call, uint64_t now_ms)
{
    static struct text text;
    int error;

    if (hook->pid) {
        errno = EBUSY;
        return -1;
    }
    hook_fill(&text, call);
    error = text.full ? E2BIG : hook_ask(hook, &text);
    hook->deadline_ms = now_ms + HOOK_DEADLINE_MS;
    snprintf(hook->why, sizeof hook->why, "%s", error ? start_error(call->program, error) : "");
    errno = error;
    return error ? -1 : 0;
}

static void hook_forget(struct hook *hook)
{
    fd_close(&hook->fd);
    hook->pid = 0;
}

/* Describes how it ended, with its last line of output. */
static void hook_explain(struct hook *hook, const struct hook_ended *ended)
{
    char last[HOOK_LAST];
    int status = ended->status, n;

    escape_text(last, sizeof last,
                str_make(ended->last, strnlen(ended->last, sizeof ended->last)), ESCAPE_ASCII);
    n = WIFEXITED(status)
            ? snprintf(hook->why, sizeof hook->why, "exit code %d", WEXITSTATUS(status))
            : snprintf(hook->why, sizeof hook->why, "ended by signal %d", WTERMSIG(status));
    if (last[0])
        snprintf(hook->why + n, sizeof hook->why - (size_t)n, ": %s", last);
}

enum hook_result hook_poll(struct hook *hook, uint64_t now_ms)
{
    struct hook_ended ended;
    ssize_t got;

    if (!hook->pid)
        return HOOK_IDLE;
    got = recv(hook->fd, &ended, sizeof ended, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (now_ms < hook->deadline_ms)
            return HOOK_RUNS;
        hook_release(hook);
        snprintf(hook->why, sizeof hook->why, "it took longer than %d s and was ended",
                 HOOK_DEADLINE_MS / 1000);
        return HOOK_BAD;
    }
    hook_forget(hook);
    hook->why[0] = '\0';
    if (got != sizeof ended) {
        snprintf(hook->why, sizeof hook->why, "the process that runs it was killed");
        return HOOK_LOST;
    }
    if (!WIFEXITED(ended.status) || WEXITSTATUS(ended.status) != 0)
        hook_explain(hook, &ended);
    return hook->why[0] ? HOOK_BAD : HOOK_GOOD;
}

void hook_release(struct hook *hook)
{
    if (!hook->pid)
        return;
    struct pollfd p = {.fd = hook->fd, .events = POLLIN};
    if (send(hook->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        poll(&p, 1, HOOK_START_MS); /* wait until it has ended */
    hook_forget(hook);
}
