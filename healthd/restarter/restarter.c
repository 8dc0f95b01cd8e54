#include "healthd/restarter/restarter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/restarter/diagnostics.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum {
    SAID_BYTES = 256 * 1024, /* kept of what the action prints */
    AFTER_MS = 1000,         /* for writing a few files */
    LOOK_MS = 5,             /* between two polls for the end of the diagnostics */
    PARTS_MAX = 2,           /* processes for them at one time */
};

static void act(const struct restart_call *call, struct restart_result *result)
{
    const struct conf_backend *b = call->backend;

    if (b->n_restart_command)
        restart_by_command(call, result);
    else if (*b->restart_docker)
        restart_by_docker(call, result);
    else
        restart_tell(result, false, "no restart is configured for %s", b->name);
}

static void restarter_tell(const struct heritage *heritage, const struct restart_result *result)
{
    struct message message = {.type = MESSAGE_TOLD, .value = result->done};

    snprintf(message.body.text, sizeof message.body.text, "%s", result->text);
    message_send(heritage->control_fd, &message, -1); /* if lost, the log has it */
}

/* ---- diagnostics, in processes of their own: neither a hanging disk nor what an unhealthy
 * backend sends may prevent its restart */

struct part {
    void (*collect)(struct diagnostics *ev, const struct restart_result *result);
    size_t bytes;
};

static void collect_ours(struct diagnostics *ev, const struct restart_result *result)
{
    (void)result;
    diagnostics_of_table(ev);
    diagnostics_of_docker(ev, RESTARTER_DIAGNOSTICS_MS);
}

static void collect_pas(struct diagnostics *ev, const struct restart_result *result)
{
    (void)result;
    diagnostics_of_pas(ev, RESTARTER_DIAGNOSTICS_MS);
}

static const struct part before[] = {{collect_ours, DIAGNOSTICS_OURS},
                                     {collect_pas, DIAGNOSTICS_OF_PAS}};
static const struct part after[] = {{diagnostics_of_action, DIAGNOSTICS_OF_ACTION}};

static pid_t restarter_start(const struct part *part, const struct heritage *heritage,
                             const struct restart_call *call,
                             const struct restart_result *result)
{
    pid_t pid = fork();
    struct diagnostics ev;

    if (pid != 0)
        return pid;
    diagnostics_open(&ev, heritage, call, part->bytes);
    part->collect(&ev, result);
    diagnostics_close(&ev);
    if (*ev.trouble)
        log_warn("%s: diagnostics are incomplete, incident %s: %s", call->backend->name,
                 call->incident, ev.trouble);
    _exit(0);
}

static bool wait_for_end(pid_t pid, uint64_t deadline_ms)
{
    while (waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= deadline_ms)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
    }
    return true;
}

static void restarter_save(const struct part *parts, size_t n, uint64_t limit_ms,
                           const struct heritage *heritage, const struct restart_call *call,
                           const struct restart_result *result)
{
    uint64_t deadline = clock_mono_ms() + limit_ms;
    pid_t pid[PARTS_MAX];

    if (*heritage->action.evidence == '\0')
        return;
    for (size_t i = 0; i < n; i++)
        if ((pid[i] = restarter_start(&parts[i], heritage, call, result)) < 0)
            log_warn("%s: no diagnostics, incident %s: %s", call->backend->name, call->incident,
                     strerror(errno));
    for (size_t i = 0; i < n; i++) {
        if (pid[i] < 0 || wait_for_end(pid[i], deadline))
            continue;
        kill(pid[i], SIGKILL); /* without waiting for its end: it may hang in a disk access */
        log_warn("%s: collecting diagnostics took too long, given up, incident %s",
                 call->backend->name, call->incident);
    }
}

_Noreturn void restarter_main(const struct heritage *heritage)
{
    const struct heritage_action *action = &heritage->action;
    struct tail said = {0};
    struct restart_result result;

    CHECK(action->backend < heritage->conf->n_backends);
    const struct conf_backend *b = &heritage->conf->backends[action->backend];
    struct restart_call call = {.backend = b,
                                .pool = heritage->conf->pools[b->pool].name,
                                .incident = action->incident,
                                .reason = action->reason,
                                .said = &said};

    log_info("%s: restarting, incident %s%s%s: %s", b->name, action->incident,
             *action->evidence ? ", diagnostics in " : "", action->evidence, action->reason);
    restarter_save(before, PARTS_MAX, RESTARTER_DIAGNOSTICS_MS + AFTER_MS, heritage, &call,
                   NULL);
    if (tail_init(&said, SAID_BYTES) < 0)
        restart_tell(&result, false, "out of memory for a restart");
    else
        act(&call, &result);
    log_line(result.done ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "%s: %s, incident %s: %s", b->name,
             result.done ? "restarted" : "not restarted", action->incident, result.text);
    restarter_tell(heritage, &result);
    restarter_save(after, 1, AFTER_MS, heritage, &call, &result);
    tail_release(&said);
    exit(result.done ? 0 : 1);
}
