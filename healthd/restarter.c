#include "healthd/restarter.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf.h"
#include "base/log.h"
#include "healthd/restart.h"
#include "healthd/tail.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum { SAID_BYTES = 256 * 1024 }; /* of what the action prints */

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

_Noreturn void restarter_main(const struct heritage *heritage)
{
    const struct heritage_action *action = &heritage->action;
    struct tail said;
    struct restart_result result;

    CHECK(action->backend < heritage->conf->n_backends);
    const struct conf_backend *b = &heritage->conf->backends[action->backend];
    struct restart_call call = {.backend = b,
                                .pool = heritage->conf->pools[b->pool].name,
                                .incident = action->incident,
                                .reason = action->reason,
                                .said = &said};

    log_info("%s: restarting it, incident %s (%s)", b->name, action->incident, action->reason);
    if (tail_init(&said, SAID_BYTES) < 0)
        restart_tell(&result, false, "no memory for a restart");
    else
        act(&call, &result);
    log_line(result.done ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "%s: %s, incident %s: %s", b->name,
             result.done ? "restarted" : "not restarted", action->incident, result.text);
    tell(heritage, &result);
    tail_release(&said);
    exit(result.done ? 0 : 1);
}
