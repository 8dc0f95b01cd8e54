/* healthd's event loop.
 *
 * Start: takes over the health rows of its predecessor, starts a probe of every backend within
 * half a second, and sends READY when each was judged once (or could have been).
 * End: exits 0 when it is told to drain, or when the supervisor has gone.
 * Crash: the rows stay as they are, and workers go by them and by what they see themselves; the
 * successor probes everything at once. */
#include "healthd/healthd.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "healthd/judge.h"
#include "healthd/outlier/outlier.h"
#include "healthd/restart_request.h"
#include "shm/heritage.h"
#include "shm/message.h"

enum {
    LOOK_MS = 1000,       /* no doorbell rings for silence: the cells are read this often */
    LIVELY_MS = 250,      /* and this often while requests wait or a verdict is open */
    BELL_MS = 20,         /* at most this often, however often the doorbell rings */
    HEARTBEAT_MS = 1000,  /* longest sleep */
    READY_EXTRA_MS = 500, /* READY at the latest this long after the longest timeout */
    RETRY_MS = 1000,      /* after a probe for which the host had no memory */
};

struct healthd {
    const struct heritage *heritage;
    struct prober *prober;
    unsigned seed;                 /* of schedule_next_ms() */
    struct backend_health *target; /* [n], by index in the configuration */
    uint32_t n;
    struct pool_health *pool; /* [npools], by index in the configuration */
    uint32_t npools;
    bool news;          /* workers must be rung */
    uint64_t look_ms;   /* next reading of the workers' cells */
    uint64_t looked_ms; /* last reading of them */
    uint64_t ready_ms;  /* latest time for READY; 0: sent */
};

static void watch_pools(struct healthd *h, uint64_t now_ms)
{
    const struct heritage *heritage = h->heritage;
    const struct conf *conf = heritage->conf;
    bool ours[TABLE_BACKENDS] = {false};

    for (uint32_t i = 0; i < h->npools; i++) {
        const struct conf_pool *pool = &conf->pools[i];

        h->pool[i].conf = pool;
        h->pool[i].target = h->target + (pool->backends - conf->backends);
        h->pool[i].n = (uint32_t)pool->n_backends;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        const struct conf_backend *backend = &conf->backends[i];

        CHECK(heritage->backend_slot[i] < TABLE_BACKENDS);
        ours[heritage->backend_slot[i]] = true;
        backend_health_init(&h->target[i], heritage->table, heritage->backend_slot[i], backend,
                            &h->pool[backend->pool], heritage->generation > 1, now_ms);
        h->target[i].due_ms = now_ms + schedule_first_ms(i, h->n);
    }
    for (int slot = 0; slot < TABLE_BACKENDS; slot++)
        if (!ours[slot])
            backend_health_forget(heritage->table, slot);
}

static void healthd_start_up(struct healthd *h, const struct heritage *heritage)
{
    const struct conf *conf = heritage->conf;
    uint64_t now = clock_mono_ms();
    uint32_t longest = 0;

    *h = (struct healthd){.heritage = heritage,
                          .seed = (unsigned)(clock_mono_us() ^ clock_wall_ms()),
                          .prober = prober_new(),
                          .n = (uint32_t)conf->n_backends,
                          .npools = (uint32_t)conf->n_pools,
                          .news = true, /* addresses that needed no probe */
                          .look_ms = now};
    h->target = calloc(h->n + 1, sizeof *h->target);
    h->pool = calloc(h->npools + 1, sizeof *h->pool);
    if (!h->prober || !h->target || !h->pool) {
        log_error("no memory");
        exit(1); /* the supervisor starts another one later */
    }
    atomic_store(&heritage->table->healthd_sandbox, heritage->sandbox);
    watch_pools(h, now);
    for (uint32_t i = 0; i < h->npools; i++)
        if (conf->pools[i].check.timeout_ms > longest)
            longest = conf->pools[i].check.timeout_ms;
    h->ready_ms = now + SCHEDULE_SPREAD_MS + longest + READY_EXTRA_MS;
}

static void healthd_say_ready(struct healthd *h, uint64_t now_ms)
{
    struct message ready = {.type = MESSAGE_READY};
    bool all = true;

    if (h->ready_ms == 0)
        return;
    for (uint32_t i = 0; i < h->n; i++)
        all &= h->target[i].judged;
    if ((all || now_ms >= h->ready_ms) &&
        message_send(h->heritage->control_fd, &ready, -1) == 0)
        h->ready_ms = 0;
}

/* false: exit. */
static bool healthd_hear_supervisor(const struct healthd *h)
{
    struct message message;
    int fd = -1, got;

    while ((got = message_recv(h->heritage->control_fd, &message, &fd)) == 1) {
        fd_close(&fd);
        if (message.type == MESSAGE_DRAIN)
            return false;
    }
    return got != 0;
}

/* Tells the supervisor which backends stay unhealthy. It decides whether to restart them. */
static void ask_for_recovery(const struct healthd *h, uint64_t now_ms)
{
    struct message ask = {.type = MESSAGE_RECOVER};

    for (uint32_t i = 0; i < h->n; i++) {
        struct backend_health *w = &h->target[i];
        char why[TABLE_REASON];

        if (!restart_request_wanted(w, now_ms, why))
            continue;
        ask.number = (uint64_t)w->slot;
        snprintf(ask.body.text, sizeof ask.body.text, "%s", why);
        message_send(h->heritage->control_fd, &ask, -1); /* if lost, repeated in ten seconds */
    }
}

/* Evaluates what the supervisor wants and what the workers saw. */
static void look_around(struct healthd *h, uint64_t now_ms)
{
    bool lively = false;

    h->news |= rows_repair() > 0;
    for (uint32_t i = 0; i < h->n; i++)
        restart_request_follow(&h->target[i], now_ms);
    for (uint32_t i = 0; i < h->npools; i++)
        h->news |= outlier_look(&h->pool[i], now_ms);
    for (uint32_t i = 0; i < h->n; i++)
        lively |= backend_health_is_lively(&h->target[i]);
    ask_for_recovery(h, now_ms);
    h->looked_ms = now_ms;
    h->look_ms = now_ms + (lively ? LIVELY_MS : LOOK_MS);
}

static void take_results(struct healthd *h, uint64_t now_ms)
{
    struct probe_result result;

    while (prober_next(h->prober, &result)) {
        CHECK(result.id < h->n);
        h->news |= judge_ended(&h->target[result.id], &result, &h->seed, now_ms);
    }
}

/* Starts the probes that are due. Returns the latest time to wake up. */
static uint64_t start_probes(struct healthd *h, uint64_t now_ms)
{
    static struct log_gate no_memory;
    uint64_t next = h->look_ms < now_ms + HEARTBEAT_MS ? h->look_ms : now_ms + HEARTBEAT_MS;

    for (uint32_t i = 0; i < h->n; i++) {
        struct backend_health *w = &h->target[i];

        if (!w->running && w->due_ms <= now_ms) {
            if (prober_start(h->prober, i, w->backend, w->pool->conf,
                             w->row.has_address ? &w->row.address : NULL) == 0) {
                h->news |= judge_started(w, now_ms);
                next = now_ms; /* the transfer has yet to take its first step */
                continue;
            }
            if (log_gate_open(&no_memory))
                log_warn("out of memory for a check of backend %s", w->backend->name);
            w->due_ms = now_ms + RETRY_MS;
        }
        if (!w->running && w->due_ms < next)
            next = w->due_ms;
    }
    return next;
}

static void ring_workers(struct healthd *h)
{
    if (h->news)
        heritage_ring_workers(h->heritage);
    h->news = false;
}

/* However often the doorbell rings, the cells are read again after a pause only. */
static void hear_bell(struct healthd *h, uint64_t now_ms)
{
    struct pollfd bell = {.fd = h->heritage->doorbell_healthd, .events = POLLIN};

    if (poll(&bell, 1, 0) != 1)
        return;
    fd_unring(h->heritage->doorbell_healthd);
    h->look_ms = h->looked_ms + BELL_MS > now_ms ? h->looked_ms + BELL_MS : now_ms;
}

_Noreturn void healthd_main(const struct heritage *heritage)
{
    struct healthd h;

    signal(SIGPIPE, SIG_IGN);
    /* Bounds the life of a resolver thread whose name server does not respond; the
     * administrator's own RES_OPTIONS take precedence. */
    setenv("RES_OPTIONS", "timeout:1 attempts:2", 0);
    healthd_start_up(&h, heritage);

    while (healthd_hear_supervisor(&h)) {
        uint64_t now = clock_mono_ms(), until;

        atomic_store(&heritage->table->healthd_heartbeat_ms, now);
        log_flush_due(now);
        count_add(&heritage->table->healthd_log_lost, log_lost_since());
        hear_bell(&h, now);
        if (now >= h.look_ms)
            look_around(&h, now);
        until = start_probes(&h, now);
        ring_workers(&h);
        healthd_say_ready(&h, now);
        prober_wait(h.prober, heritage->control_fd, heritage->doorbell_healthd,
                    (int)(until - now));
        take_results(&h, clock_mono_ms());
        ring_workers(&h);
    }
    prober_free(h.prober);
    free(h.pool);
    free(h.target);
    exit(0);
}
