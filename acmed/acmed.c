/* acmed's loop.
 *
 * Start: publishes what the store holds, makes or imports what is missing, and says READY when
 * every certificate has a live generation or has failed to get one. End: exits 0 when told to
 * drain, and when the supervisor has ended. Crash: workers keep what they have loaded; the
 * store holds complete generations only, so the successor continues where this process was. */
#include "acmed/acmed.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "acmed/cert/adopt.h"
#include "acmed/cert/certificate.h"
#include "acmed/cert/deploy.h"
#include "acmed/cert/leftover.h"
#include "acmed/cert/reply.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/store_delete.h"
#include "acmed/helper/hook.h"
#include "acmed/key/key.h"
#include "acmed/key/secret.h"
#include "acmed/order/issue_dns.h"
#include "acmed/sandbox.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/challenges.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum {
    HEARTBEAT_MS = 1000,           /* longest sleep */
    UMASK = 027,                   /* see acmed/cert/store.h */
    HELPER_PAUSE_MS = 60000,       /* from a helper's end to ours, which brings new ones */
    TURN_MS = 200,                 /* of work; then messages are handled */
    READY_MS = 10000,              /* after the start at the latest */
    STORE_LOOK_MS = 5000,          /* between two checks of the store */
    WATCHED = 4 + 4 * CA_SET_RUNS, /* descriptors to poll */
};

struct acmed {
    const struct heritage *heritage;
    struct store store;
    struct ca_set ca_set;
    struct certificate *certificate; /* [n], by index in the configuration */
    uint32_t n;
    uint32_t first; /* where the next turn starts */
    uint64_t started_ms;
    bool ready;                 /* READY was sent */
    uint64_t leave_ms;          /* when to exit, so that a successor takes over; 0: never */
    bool has_store;             /* the certificates know that it is ours */
    char trouble[TABLE_REASON]; /* why it is not, as logged last, or "" */
    bool looked;                /* the store was searched for leftovers */
    bool listed;                /* and for what is marked as revoked, but not on the list */
    struct leftover *leftovers;
    uint64_t store_ms;  /* next check of the store */
    uint64_t repair_ms; /* next comparison of our rows with what was published */
};

/* Also clears rows that this configuration does not use, so that a stray write there is
 * repaired. */
static void clear_rows(const struct acmed *a)
{
    static const struct cert_row none;
    struct table *table = a->heritage->table;

    for (uint32_t i = a->n; i < table_certs(table); i++)
        cert_publish(&table->cert[i], &none);
    atomic_fetch_add(&table->cert_epoch, 1);
}

static void *acmed_must(void *memory)
{
    if (memory)
        return memory;
    log_error("no memory");
    exit(1); /* the supervisor tries again later */
}

static void beat(void *table)
{
    atomic_store(&((struct table *)table)->acmed_heartbeat_ms, clock_mono_ms());
}

/* All old rows are read before the first new one is written: a reload may have moved them. */
static void acmed_take_over(struct acmed *a, uint64_t now_ms)
{
    const struct conf *conf = a->heritage->conf;
    struct cert_row *before = acmed_must(calloc(a->n + 1, sizeof *before));
    bool *found = acmed_must(calloc(a->n + 1, sizeof *found));
    char dir[CERT_DIR_SIZE];

    for (uint32_t i = 0; i < a->n; i++) {
        found[i] =
            cert_find(a->heritage->table, cert_dir(dir, conf->certs[i].name), i, &before[i]);
        reply_interrupted(&before[i]);
    }
    adopt_begin(a->heritage);
    for (uint32_t i = 0; i < a->n; i++) {
        beat(a->heritage->table); /* each may have to be rewritten under another name */
        certificate_init(&a->certificate[i], a->heritage, &a->store, &a->ca_set,
                         &conf->certs[i], found[i] ? &before[i] : NULL, now_ms);
    }
    for (uint32_t i = 0; i < a->n; i++)
        if (conf->certs[i].dual)
            a->certificate[i].dual = &a->certificate[conf->certs[i].dual->index];
    free(before);
    free(found);
}

/* The helpers are forked before anything else: they must not have any key in memory, neither of
 * the store nor of the configuration, and must not be able to write to the table. They do what
 * acmed itself is not allowed to do. */
static void fork_helpers(struct acmed *a)
{
    const struct heritage *heritage = a->heritage;
    const char *hook = heritage->conf->acme.hook;

    conf_keep_from_children(heritage->conf);
    madvise(heritage->table, sizeof *heritage->table, MADV_DONTFORK);
    acmed_sandbox_init(heritage->conf->acme.store);
    if (a->n > 0 && *hook && hook_open(hook) < 0) {
        log_warn("hook %s cannot be called: %s; the process that runs it is started again in a "
                 "minute",
                 hook, strerror(errno));
        a->leave_ms = a->started_ms + HELPER_PAUSE_MS;
    }
    ca_set_init(&a->ca_set, heritage);
    if (*a->ca_set.unusable)
        a->leave_ms = a->started_ms + HELPER_PAUSE_MS;
    secret_init(SECRET_HEAP);
    key_set_heartbeat(beat, heritage->table);
    atomic_store(&heritage->table->acmed_sandbox,
                 heritage->sandbox | (acmed_sandbox_signer() ? SANDBOX_CALLS : 0));
}

/* Logged once, and when the reason changes. */
static void store_troubles(struct acmed *a, int error)
{
    char trouble[TABLE_REASON];

    snprintf(trouble, sizeof trouble, "the store %.90s: %s", a->heritage->conf->acme.store,
             store_says(error));
    if (strcmp(trouble, a->trouble) != 0)
        log_warn(
            "%s; what is there is served, and nothing is ordered or stored until it can be "
            "used",
            trouble);
    snprintf(a->trouble, sizeof a->trouble, "%s", trouble);
}

static void acmed_start_up(struct acmed *a, const struct heritage *heritage)
{
    const struct conf *conf = heritage->conf;

    *a = (struct acmed){
        .heritage = heritage, .n = (uint32_t)conf->n_certs, .started_ms = clock_mono_ms()};
    CHECK(a->n <= table_certs(heritage->table));
    a->certificate = acmed_must(calloc(a->n + 1, sizeof *a->certificate));
    a->store.certs_fd = -1;
    fork_helpers(a);
    a->has_store = a->n > 0 && store_open(&a->store, conf->acme.store) == 0;
    if (a->n > 0 && !a->has_store)
        store_troubles(a, errno);
    if (a->has_store)
        store_sweep(conf->acme.store);
    challenges_take_over(heritage->table, clock_mono_ms());
    acmed_take_over(a, clock_mono_ms());
    clear_rows(a);
}

/* Handles messages for one turn at most, because a message may bring something to store. false:
 * time to exit. */
static bool acmed_hear_supervisor(struct acmed *a)
{
    uint64_t start_ms = clock_mono_ms();
    struct message message;
    int fd = -1, got = 1;

    while (clock_mono_ms() - start_ms < TURN_MS &&
           (got = message_recv(a->heritage->control_fd, &message, &fd)) == 1) {
        if (message.type == MESSAGE_PEM && message.number < a->n)
            certificate_reply(&a->certificate[message.number], &message, &fd, clock_mono_ms());
        fd_close(&fd);
        if (message.type == MESSAGE_CERT && message.number < a->n)
            certificate_request(&a->certificate[message.number],
                                (enum cert_request)message.which, (unsigned)message.value,
                                message.body.pid, clock_mono_ms());
        if (message.type == MESSAGE_DRAIN)
            return false;
    }
    return got != 0;
}

/* The store was deleted or replaced while we use it. */
static void leave_store(struct acmed *a)
{
    log_error(
        "the store %s was deleted or replaced; it is opened again, and created if necessary",
        a->heritage->conf->acme.store);
    store_release(&a->store);
    ca_set_store_gone(&a->ca_set);
    a->has_store = a->listed = false;
}

static void list_marked(void *to, const char *dir)
{
    const struct acmed *a = to;

    beat(a->heritage->table);
    revoked_list_marked(&a->store, dir);
}

/* What a predecessor marked as revoked before it ended, also under names that are not
 * configured any more; then what could not be written. */
static void look_at_revoked(struct acmed *a, uint64_t now_ms)
{
    if (!a->listed)
        store_each(a->store.path, list_marked, a);
    a->listed = true;
    revoked_retry(&a->store, now_ms);
}

static void look_at_generations(struct acmed *a, uint64_t now_ms)
{
    char trouble[TABLE_NOTE] = "";

    if (a->has_store && store_usable(a->store.path, NULL, 0, trouble) &&
        revoked_readable(&a->store, trouble))
        ca_set_look(&a->ca_set);
    if (a->has_store)
        look_at_revoked(a, now_ms);
    for (uint32_t i = 0; a->has_store && i < a->n; i++)
        certificate_look_at_store(&a->certificate[i], trouble, now_ms);
}

/* The store may be unreadable, or used by another pasgate. Then nothing is ordered until it is
 * ours. */
static void look_at_store(struct acmed *a, uint64_t now_ms)
{
    const char *path = a->heritage->conf->acme.store;

    if (a->n == 0 || now_ms < a->store_ms)
        return;
    a->store_ms = now_ms + STORE_LOOK_MS;
    if (a->has_store && !store_there(&a->store))
        leave_store(a);
    look_at_generations(a, now_ms);
    if (a->has_store)
        return;
    a->has_store = store_open(&a->store, path) == 0;
    if (!a->has_store) {
        store_troubles(a, errno);
    } else {
        log_info("the store %s can be used now", path);
        a->trouble[0] = '\0';
    }
    adopt_begin(a->heritage);
    for (uint32_t i = 0; i < a->n; i++)
        certificate_store(&a->certificate[i], a->has_store ? NULL : a->trouble, now_ms);
    look_at_generations(a, now_ms);
}

/* One certificate's turn; returns when it is due again. */
static uint64_t tend(struct certificate *k, uint64_t now_ms)
{
    certificate_tick(k, now_ms);
    if (!deploy_waits(k) && k->issue.run && k->issue.due_ms < k->due_ms)
        return k->issue.due_ms;
    return k->due_ms;
}

static void acmed_say_ready(struct acmed *a)
{
    const struct message ready = {.type = MESSAGE_READY};

    if (!a->ready)
        a->ready = message_send(a->heritage->control_fd, &ready, -1) == 0;
}

/* Does what is due; returns when to wake up at the latest. A thousand certificates may be due
 * at once, for which a disk needs a minute: when the turn is over, the rest wait for the next
 * one. */
static uint64_t work(struct acmed *a, uint64_t now_ms)
{
    uint64_t next = now_ms + HEARTBEAT_MS;
    bool settled = true;

    look_at_store(a, now_ms);
    challenges_look(a->heritage->table, now_ms);
    if (a->has_store && !a->looked)
        a->leftovers = leftover_find(&a->ca_set, now_ms);
    a->looked |= a->has_store;
    leftover_tick(&a->leftovers, now_ms);
    for (uint32_t n = 0; n < a->n; n++) {
        uint32_t i = (a->first + n) % a->n;

        if (clock_mono_ms() - now_ms >= TURN_MS) {
            a->first = i;
            settled = false;
            next = now_ms;
            break;
        }
        uint64_t due_ms = tend(&a->certificate[i], now_ms);
        settled &= a->certificate[i].settled;
        next = due_ms < next ? due_ms : next;
    }
    if (next > now_ms && a->n > 0) /* so that no certificate is always last in line */
        a->first = (uint32_t)(ca_set_random() % a->n);
    if (settled)
        adopt_end(); /* each had its turn */
    if (settled || now_ms - a->started_ms >= READY_MS)
        acmed_say_ready(a);
    return next > now_ms ? next : now_ms;
}

/* Another process wants everything to be checked now. */
static void acmed_hear_bell(struct acmed *a)
{
    fd_unring(a->heritage->doorbell_acmed);
    for (uint32_t i = 0; i < a->n; i++)
        if (a->certificate[i].import.waiting_for < 0)
            a->certificate[i].due_ms = 0;
}

/* Waits for the supervisor, the doorbell, and the network and hook helpers. It does not matter
 * which conversation is ready: the next work() checks each. */
static void acmed_wait_until(struct acmed *a, uint64_t now_ms, uint64_t until_ms)
{
    struct pollfd fds[WATCHED] = {
        {.fd = a->heritage->control_fd, .events = POLLIN},
        {.fd = a->heritage->doorbell_acmed, .events = POLLIN},
        {.fd = a->ca_set.forkserver, .events = 0},
        {.fd = hook_fd(), .events = 0},
    };
    nfds_t n = 4;

    for (uint32_t i = 0; i < a->n && n + 2 < WATCHED; i++) {
        if (issue_dns_fd(&a->certificate[i].issue) >= 0)
            fds[n++] =
                (struct pollfd){.fd = issue_dns_fd(&a->certificate[i].issue), .events = POLLIN};
        if (account_op_runs(&a->certificate[i].op))
            fds[n++] =
                (struct pollfd){.fd = account_op_fd(&a->certificate[i].op), .events = POLLIN};
        if (!deploy_waits(&a->certificate[i]) && issue_fd(&a->certificate[i].issue) >= 0)
            fds[n++] =
                (struct pollfd){.fd = issue_fd(&a->certificate[i].issue), .events = POLLIN};
    }
    if (poll(fds, n, (int)(until_ms - now_ms)) <= 0)
        return;
    if (fds[1].revents)
        acmed_hear_bell(a);
    if (fds[2].revents & (POLLHUP | POLLERR)) {
        ca_set_helper_ended(&a->ca_set);
        a->leave_ms = now_ms + HELPER_PAUSE_MS;
    }
    if (fds[3].revents & (POLLHUP | POLLERR)) {
        log_error("the hook helper exited; the hook is not called until it is started again");
        hook_close();
        a->leave_ms = now_ms + HELPER_PAUSE_MS;
    }
}

/* Another process wrote into our rows: repairs them, and workers read them again. */
static void acmed_repair_rows(struct acmed *a, uint64_t now_ms)
{
    if (now_ms < a->repair_ms)
        return;
    a->repair_ms = now_ms + HEARTBEAT_MS;
    if (rows_repair() == 0)
        return;
    atomic_fetch_add(&a->heritage->table->cert_epoch, 1);
    heritage_ring_workers(a->heritage);
}

_Noreturn void acmed_main(const struct heritage *heritage)
{
    struct acmed a;

    umask(UMASK);
    acmed_start_up(&a, heritage);
    while (acmed_hear_supervisor(&a)) {
        uint64_t now = clock_mono_ms();

        beat(heritage->table);
        log_flush_due(now);
        count_add(&heritage->table->acmed_log_lost, log_lost_since());
        acmed_repair_rows(&a, now);
        /* A new fork server would inherit our keys; the one of a successor will not. */
        if (a.leave_ms && now >= a.leave_ms)
            exit(1);
        acmed_wait_until(&a, now, work(&a, now));
    }
    for (uint32_t i = 0; i < a.n; i++)
        certificate_release(&a.certificate[i]);
    leftover_release(&a.leftovers);
    hook_close();
    ca_set_release(&a.ca_set);
    store_release(&a.store);
    free(a.certificate);
    exit(0);
}
