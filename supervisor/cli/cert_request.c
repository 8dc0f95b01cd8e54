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

/* Prints the result of an order: what is live now. */
static int tell_order(const struct cert_row *before, const struct cert_row *now, int which)
{
    char until[CLOCK_ISO_SIZE];
    const char *done = which == CERT_REVOKE ? "revoked; " : "";

    if (now->generation == before->generation) {
        escape_print(stderr, "pasgate: certificate %s: %s%s; generation %u stays live\n",
                     now->name, done,
                     now->error[0] ? now->error : "no result; see the log of the service",
                     now->generation);
        return CLI_FAILURE;
    }
    escape_print(stdout, "certificate %s: %sgeneration %u is live%s, until %.10s\n", now->name,
                 done, now->generation, which == CERT_ROLLBACK ? " again" : "",
                 clock_iso(until, now->not_after_wall_ms));
    return CLI_OK;
}

int cert_request_tell(const struct cert_row *before, const struct cert_row *now, int which)
{
    if (now->reply[0]) {
        escape_print(stderr, "pasgate: certificate %s: %s\n", now->name, now->reply);
        return CLI_FAILURE;
    }
    if (which == CERT_ROLLOVER)
        escape_print(stdout, "the account has a new key\n");
    else if (which == CERT_DEACTIVATE)
        escape_print(stdout, "the account is closed; the next order makes another one\n");
    else
        return tell_order(before, now, which);
    return CLI_OK;
}
