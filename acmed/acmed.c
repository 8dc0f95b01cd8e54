/* acmed's loop.
 *
 * Start: publishes what the store holds, makes or imports what is missing, says
 * READY when every certificate has a live generation or has failed to get one.
 * End: exits 0 when told to drain and when the supervisor has gone.
 * A crash: workers go on with what they have loaded; the store holds complete
 * generations only, so the successor goes on where this one was. */
#include "acmed/acmed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "acmed/confine.h"
#include "acmed/hook.h"
#include "acmed/keeper.h"
#include "acmed/key.h"
#include "acmed/live.h"
#include "acmed/secret.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum {
    HEARTBEAT_MS = 1000, /* longest sleep */
    UMASK = 027,         /* see acmed/store.h */
    NURSERY_PAUSE_MS = 60000,
    STORE_LOOK_MS = 5000,          /* between two looks at a store that is not ours */
    WATCHED = 4 + 2 * ISSUER_RUNS, /* descriptors */
};

struct acmed {
    const struct heritage *heritage;
    struct store store;
    struct issuer issuer;
    struct keeper *keeper; /* [n], by index in the configuration */
    uint32_t n;
    bool ready;        /* said */
    uint64_t leave_ms; /* to end, so that a successor goes on; 0: stay */
    bool has_store;    /* the keepers know that it is ours */
    uint64_t store_ms; /* when to try again to get it */
};

/* Rows that this configuration does not name. */
static void clear_rows(const struct acmed *a)
{
    struct table *table = a->heritage->table;
    struct cert_row cert;

    for (uint32_t i = a->n; i < TABLE_CERTS; i++) {
        if (cert_read(&table->cert[i], &cert) && cert.name[0] == '\0')
            continue;
        cert = (struct cert_row){0};
        cert_publish(&table->cert[i], &cert);
    }
}

/* Challenges of an acmed that was killed are still answered: the CA may be looking right now,
 * and the successor goes on with that order. They end by their time, or half-written. */
static void clear_challenges(const struct acmed *a, uint64_t now_ms)
{
    struct table *table = a->heritage->table;
    struct challenge_row challenge;

    for (int i = 0; i < TABLE_CHALLENGES; i++) {
        if (challenge_read(&table->challenge[i], &challenge) &&
            (challenge.kind == 0 || challenge.expires_ms > now_ms))
            continue;
        challenge = (struct challenge_row){0};
        challenge_publish(&table->challenge[i], &challenge);
    }
}

static void *must(void *memory)
{
    if (memory)
        return memory;
    log_error("no memory");
    exit(1); /* the supervisor tries again later */
}

/* All rows are looked up before the first is written: a reload may have moved them. */
static void take_over(struct acmed *a, uint64_t now_ms)
{
    const struct conf *conf = a->heritage->conf;
    struct cert_row *before = must(calloc(a->n + 1, sizeof *before));
    bool found[TABLE_CERTS];
    char folder[CERT_FOLDER_SIZE];

    for (uint32_t i = 0; i < a->n; i++)
        found[i] = cert_find(a->heritage->table, cert_folder(folder, conf->certs[i].name), i,
                             &before[i]);
    for (uint32_t i = 0; i < a->n; i++)
        keeper_init(&a->keeper[i], a->heritage, &a->store, &a->issuer, &conf->certs[i],
                    found[i] ? &before[i] : NULL, now_ms);
    free(before);
}

static void beat(void *table)
{
    atomic_store(&((struct table *)table)->acmed_heartbeat_ms, clock_mono_ms());
}

/* First of all: they may know no key, neither of the store nor of the configuration, nor write
 * to the table. What acmed itself may not do is theirs to do. */
static void fork_helpers(struct acmed *a)
{
    const struct heritage *heritage = a->heritage;
    const char *hook = heritage->conf->acme.hook;

    conf_keep_from_children(heritage->conf);
    madvise(heritage->table, sizeof *heritage->table, MADV_DONTFORK);
    confine_init(heritage->conf->acme.store);
    if (a->n > 0 && *hook && hook_open(hook) < 0)
        log_warn("hook %s cannot be called: %s", hook, strerror(errno));
    issuer_init(&a->issuer, heritage);
    secret_init(SECRET_HEAP);
    key_set_pulse(beat, heritage->table);
    confine_signer();
}

static void start_up(struct acmed *a, const struct heritage *heritage)
{
    const struct conf *conf = heritage->conf;

    *a = (struct acmed){.heritage = heritage, .n = (uint32_t)conf->n_certs};
    CHECK(a->n <= TABLE_CERTS);
    a->keeper = must(calloc(a->n + 1, sizeof *a->keeper));
    a->store.certs_fd = -1;
    fork_helpers(a);
    a->has_store = a->n > 0 && store_open(&a->store, conf->acme.store) == 0;
    if (a->n > 0 && !a->has_store)
        log_warn("cannot open the store %s: %s", conf->acme.store, store_says(errno));
    take_over(a, clock_mono_ms());
    clear_rows(a);
}

/* false: time to go. */
static bool hear_supervisor(struct acmed *a)
{
    struct message message;
    int fd = -1, got;

    while ((got = message_recv(a->heritage->control_fd, &message, &fd)) == 1) {
        if (message.type == MESSAGE_PEM && message.number < a->n)
            keeper_answer(&a->keeper[message.number], &message, &fd, clock_mono_ms());
        fd_close(&fd);
        if (message.type == MESSAGE_CERT && message.number < a->n)
            keeper_request(&a->keeper[message.number], (enum cert_request)message.which,
                           (unsigned)message.value, clock_mono_ms());
        if (message.type == MESSAGE_DRAIN)
            return false;
    }
    return got != 0;
}

/* It may be unreadable, or another pasgate's: then nothing is ordered, until it is ours. */
static void look_at_store(struct acmed *a, uint64_t now_ms)
{
    const char *path = a->heritage->conf->acme.store;
    char trouble[TABLE_REASON] = "";

    if (a->n == 0 || a->has_store || now_ms < a->store_ms)
        return;
    a->store_ms = now_ms + STORE_LOOK_MS;
    a->has_store = store_open(&a->store, path) == 0;
    if (a->has_store)
        log_info("the store %s is ours now", path);
    else
        snprintf(trouble, sizeof trouble, "the store %.90s: %s", path, store_says(errno));
    for (uint32_t i = 0; i < a->n; i++)
        keeper_store(&a->keeper[i], trouble[0] ? trouble : NULL, now_ms);
}

/* Does what is due; returns when to wake up at the latest. */
static uint64_t work(struct acmed *a, uint64_t now_ms)
{
    uint64_t next = now_ms + HEARTBEAT_MS;
    bool settled = true;

    look_at_store(a, now_ms);
    clear_challenges(a, now_ms);
    for (uint32_t i = 0; i < a->n; i++) {
        keeper_tick(&a->keeper[i], now_ms);
        settled &= a->keeper[i].settled;
        if (a->keeper[i].due_ms < next)
            next = a->keeper[i].due_ms;
        if (!live_waits(&a->keeper[i]) && a->keeper[i].issue.run &&
            a->keeper[i].issue.due_ms < next)
            next = a->keeper[i].issue.due_ms;
    }
    if (settled && !a->ready) {
        const struct message ready = {.type = MESSAGE_READY};

        a->ready = message_send(a->heritage->control_fd, &ready, -1) == 0;
    }
    return next > now_ms ? next : now_ms;
}

/* Somebody wants a look at everything now. */
static void hear_bell(struct acmed *a)
{
    fd_unring(a->heritage->doorbell_acmed);
    for (uint32_t i = 0; i < a->n; i++)
        if (a->keeper[i].import.waiting_for < 0)
            a->keeper[i].due_ms = 0;
}

/* What may wake us: the supervisor, the bell, the network half. Which of its conversations it
 * is does not matter: the next work() looks at each. */
static void wait_until(struct acmed *a, uint64_t now_ms, uint64_t until_ms)
{
    struct pollfd fds[WATCHED] = {
        {.fd = a->heritage->control_fd, .events = POLLIN},
        {.fd = a->heritage->doorbell_acmed, .events = POLLIN},
        {.fd = a->issuer.nursery, .events = 0},
        {.fd = hook_fd(), .events = 0},
    };
    nfds_t n = 4;

    for (uint32_t i = 0; i < a->n && n + 1 < WATCHED; i++) {
        if (errand_runs(&a->keeper[i].errand))
            fds[n++] = (struct pollfd){.fd = errand_fd(&a->keeper[i].errand), .events = POLLIN};
        if (!live_waits(&a->keeper[i]) && issue_fd(&a->keeper[i].issue) >= 0)
            fds[n++] = (struct pollfd){.fd = issue_fd(&a->keeper[i].issue), .events = POLLIN};
    }
    if (poll(fds, n, (int)(until_ms - now_ms)) <= 0)
        return;
    if (fds[1].revents)
        hear_bell(a);
    if (fds[2].revents & (POLLHUP | POLLERR)) {
        log_error("the network half's nursery ended: nothing is ordered for a while");
        fd_close(&a->issuer.nursery);
        a->leave_ms = now_ms + NURSERY_PAUSE_MS;
    }
    if (fds[3].revents & (POLLHUP | POLLERR)) {
        log_error("the process that calls the hook ended: it is not called for a while");
        hook_close();
        a->leave_ms = now_ms + NURSERY_PAUSE_MS;
    }
}

_Noreturn void acmed_main(const struct heritage *heritage)
{
    struct acmed a;

    umask(UMASK);
    start_up(&a, heritage);
    while (hear_supervisor(&a)) {
        uint64_t now = clock_mono_ms();

        beat(heritage->table);
        /* Another nursery would get our keys by fork; that of a successor will not. */
        if (a.leave_ms && now >= a.leave_ms)
            exit(1);
        wait_until(&a, now, work(&a, now));
    }
    for (uint32_t i = 0; i < a.n; i++)
        keeper_release(&a.keeper[i]);
    hook_close();
    issuer_release(&a.issuer);
    store_release(&a.store);
    free(a.keeper);
    exit(0);
}
