#include "supervisor/cli/cert_request.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/message.h"
#include "shm/status/status.h"
#include "supervisor/cli/cli.h"
#include "supervisor/signals.h"

int cert_request_send(const struct service *service, int index, int which, int reason)
{
    union sigval value = {.sival_int = (index + 1) | reason << REASON_SHIFT};

    if (service_stops(service, "it takes no request about certificates any more"))
        return CLI_FAILURE;
    if (sigqueue(service->pid, SIGRTMIN + SIGNAL_CERT + which - CERT_RENEW, value) == 0)
        return CLI_OK;
    fprintf(stderr, "pasgate: cannot signal process %d: %s\n", (int)service->pid,
            strerror(errno));
    return CLI_FAILURE;
}

static bool acmed_begins(const struct table *table)
{
    struct header_row header;
    struct child_row child;
    bool begins = false;

    if (!header_read(&table->header, &header))
        return true;
    for (int i = 0; i < TABLE_CHILDREN; i++) {
        if (!status_child_read(table, i, &child) || child.kind != KIND_ACMED)
            continue;
        if (child.generation == header.config_generation && child.state == CHILD_RUNNING)
            return false;
        begins |= child.generation != header.config_generation || child.state == CHILD_STARTING;
    }
    return begins;
}

void cert_request_settle(const struct service *service, unsigned ms)
{
    uint64_t limit = clock_mono_ms() + ms;

    while (acmed_begins(service->table) && clock_mono_ms() < limit && service_alive(service))
        usleep(CERT_REQUEST_LOOK_US);
}

const struct cert_reply *cert_request_reply(const struct cert_row *before,
                                            const struct cert_row *now)
{
    for (int i = 0; i < CERT_REPLIES; i++) {
        const struct cert_reply *reply = &now->replies[i];

        /* The process number may have been another one's before. */
        if (reply->state != CERT_REPLY_FREE && reply->pid == (int32_t)getpid() &&
            reply->number - before->requests - 1 < UINT32_MAX / 2)
            return reply;
    }
    return NULL;
}

bool cert_request_ended(const struct cert_reply *reply)
{
    return reply->state == CERT_REPLY_REFUSED || reply->state == CERT_REPLY_DONE;
}

/* Prints the result of an order: what is live now. */
static int tell_order(const char *name, const struct cert_reply *reply)
{
    char until[CLOCK_ISO_SIZE];
    const char *done = reply->request == CERT_REVOKE ? "revoked; " : "";

    if (reply->generation == reply->before) {
        escape_print(stderr, "pasgate: certificate %s: %s%s; generation %u stays live\n", name,
                     done,
                     reply->text[0] ? reply->text : "no result; see the log of the service",
                     reply->generation);
        return CLI_FAILURE;
    }
    escape_print(stdout, "certificate %s: %sgeneration %u is live%s, until %.10s\n", name, done,
                 reply->generation, reply->request == CERT_ROLLBACK ? " again" : "",
                 clock_iso(until, reply->not_after_wall_ms));
    return CLI_OK;
}

int cert_request_tell(const char *name, const struct cert_reply *reply)
{
    if (reply->state == CERT_REPLY_REFUSED) {
        escape_print(stderr, "pasgate: certificate %s: %s\n", name, reply->text);
        return CLI_FAILURE;
    }
    if (reply->request == CERT_ROLLOVER)
        escape_print(stdout, "the account has a new key\n");
    else if (reply->request == CERT_DEACTIVATE)
        escape_print(stdout, "the account is closed; the next order makes another one\n");
    else
        return tell_order(name, reply);
    return CLI_OK;
}
