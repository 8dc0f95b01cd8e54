#include "supervisor/cli/cert_renew_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/certs.h"
#include "shm/status/status.h"
#include "supervisor/cli/cert_request.h"
#include "supervisor/cli/cli.h"

enum { UNHEARD_MAX = 16 }; /* requests not yet accepted by acmed; its socket holds more */

enum step { STEP_WAITS, STEP_ASKED, STEP_HEARD, STEP_DONE };

/* One certificate's renewal. */
struct renewal {
    int index;
    enum step step;
    uint64_t asked_ms;
    struct cert_row before;
};

struct renewals {
    const struct service *service;
    int which;
    struct renewal *of; /* [n] */
    int n, unheard, left;
    uint64_t moved_ms; /* the last progress of any of them */
    int code;
};

static void renew_done(struct renewals *all, struct renewal *one)
{
    all->unheard -= one->step == STEP_ASKED;
    one->step = STEP_DONE;
    all->left--;
}

static void renew_failed(struct renewals *all, struct renewal *one, const char *why)
{
    escape_print(stderr, "pasgate: certificate %s: %s\n", one->before.name, why);
    all->code = CLI_FAILURE;
    renew_done(all, one);
}

static void renew_ended(struct renewals *all, struct renewal *one,
                        const struct cert_reply *reply)
{
    if (strcmp(reply->text, CERT_NOT_DUE) == 0)
        escape_print(stdout, "certificate %s: %s\n", one->before.name, reply->text);
    else if (cert_request_tell(one->before.name, reply) != CLI_OK)
        all->code = CLI_FAILURE;
    renew_done(all, one);
}

static void renew_look(struct renewals *all, struct renewal *one, uint64_t now_ms)
{
    const struct cert_reply *reply;
    struct cert_row now;

    if (!cert_read(&all->service->table->cert[one->index], &now))
        return; /* being written at the moment */
    if (strcmp(now.name, one->before.name) != 0) {
        renew_failed(all, one, "the configuration was reloaded meanwhile: try again");
        return;
    }
    reply = cert_request_reply(&one->before, &now);
    if (!reply) {
        if (now_ms - one->asked_ms > CERT_REQUEST_HEARD_MS)
            renew_failed(all, one, "the service did not respond in time: see its log");
        return;
    }
    if (one->step == STEP_ASKED) {
        one->step = STEP_HEARD;
        all->unheard--;
        all->moved_ms = now_ms;
    }
    if (cert_request_ended(reply)) {
        renew_ended(all, one, reply);
        all->moved_ms = now_ms;
    }
}

static void renew_go_on(struct renewals *all, uint64_t now_ms)
{
    for (int i = 0; i < all->n; i++) {
        struct renewal *one = &all->of[i];

        if (one->step == STEP_WAITS && all->unheard < UNHEARD_MAX) {
            one->step = STEP_ASKED;
            one->asked_ms = now_ms;
            all->unheard++;
            if (cert_request_send(all->service, one->index, all->which, 0) != CLI_OK) {
                all->code = CLI_FAILURE;
                renew_done(all, one);
            }
        } else if (one->step == STEP_ASKED || one->step == STEP_HEARD) {
            renew_look(all, one, now_ms);
        }
    }
}

static void renew_collect(struct renewals *all)
{
    for (int i = 0; i < (int)table_certs(all->service->table); i++) {
        struct renewal *one = &all->of[all->n];

        if (!status_cert_read(all->service->table, i, &one->before) ||
            one->before.wanted != CERT_ACME)
            continue;
        one->index = i;
        all->n++;
    }
    all->left = all->n;
}

int cert_renew_all(const struct service *service, int which)
{
    struct renewals all = {.service = service, .which = which, .moved_ms = clock_mono_ms()};
    const char *why = NULL;

    all.of = calloc(TABLE_CERTS, sizeof *all.of);
    if (!all.of) {
        fprintf(stderr, "pasgate: no memory\n");
        return CLI_FAILURE;
    }
    cert_request_settle(service, CERT_REQUEST_SETTLE_MS);
    renew_collect(&all);
    if (all.n == 0)
        printf("no certificate is to be ordered\n");
    while (all.left > 0 && !why) {
        renew_go_on(&all, clock_mono_ms());
        fflush(stdout);
        if (!service_alive(service))
            why = "the service ended meanwhile: see its log";
        else if (service_silent(service))
            why = "the supervisor does not respond";
        else if (clock_mono_ms() - all.moved_ms > CERT_REQUEST_ORDER_MS)
            why = "no result in time: see the log of the service";
        else if (all.left > 0)
            usleep(CERT_REQUEST_LOOK_US);
    }
    for (int i = 0; i < all.n; i++)
        if (all.of[i].step != STEP_DONE)
            renew_failed(&all, &all.of[i], why);
    free(all.of);
    return all.code;
}
