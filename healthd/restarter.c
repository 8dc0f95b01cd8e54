#include "healthd/restarter.h"

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
#include "base/conf.h"
#include "base/log.h"
#include "healthd/evidence.h"
#include "healthd/restart.h"
#include "healthd/tail.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum {
    SAID_BYTES = 256 * 1024, /* of what the action prints */
    AFTER_MS = 1000,         /* for a few files to be written */
    LOOK_MS = 5,             /* between two looks at the evidence's end */
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

static void tell(const struct heritage *heritage, const struct restart_result *result)
{
    struct message message = {.type = MESSAGE_TOLD, .value = result->done};

    snprintf(message.body.text, sizeof message.body.text, "%s", result->text);
    message_send(heritage->control_fd, &message, -1); /* if it is gone, the log says it */
}

/* ---- evidence, in a process of its own: neither a disk that hangs nor what an ill instance
 * says may keep us from restarting it */

static void say_trouble(const struct evidence *ev)
{
    if (*ev->trouble)
        log_warn("%s: not all evidence is there, incident %s: %s", ev->call->backend->name,
                 ev->call->incident, ev->trouble);
}

static void collect(struct evidence *ev, const struct restart_result *result)
{
    if (result) {
        evidence_of_action(ev, result);
    } else {
        evidence_of_table(ev);
        evidence_of_others(ev, RESTARTER_EVIDENCE_MS);
    }
    say_trouble(ev);
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000}, NULL);
}

/* result: what came of the action; NULL before it. */
static void save(const struct heritage *heritage, const struct restart_call *call,
                 const struct restart_result *result, uint64_t limit_ms)
{
    uint64_t deadline = clock_mono_ms() + limit_ms;
    struct evidence ev;
    pid_t pid;

    if (*heritage->action.evidence == '\0')
        return;
    pid = fork();
    if (pid == 0) {
        evidence_open(&ev, heritage, call);
        collect(&ev, result);
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() >= deadline) {
            kill(pid, SIGKILL);
            log_warn("%s: evidence takes too long and is given up, incident %s",
                     call->backend->name, call->incident);
            break;
        }
        pause_a_little();
    }
    if (pid < 0)
        log_warn("%s: no evidence, incident %s: %s", call->backend->name, call->incident,
                 strerror(errno));
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

    log_info("%s: restarting it, incident %s%s%s: %s", b->name, action->incident,
             *action->evidence ? ", evidence in " : "", action->evidence, action->reason);
    save(heritage, &call, NULL, RESTARTER_EVIDENCE_MS + AFTER_MS);
    if (tail_init(&said, SAID_BYTES) < 0)
        restart_tell(&result, false, "no memory for a restart");
    else
        act(&call, &result);
    log_line(result.done ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "%s: %s, incident %s: %s", b->name,
             result.done ? "restarted" : "not restarted", action->incident, result.text);
    tell(heritage, &result);
    save(heritage, &call, &result, AFTER_MS);
    tail_release(&said);
    exit(result.done ? 0 : 1);
}
