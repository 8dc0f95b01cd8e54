/* A worker's start, its end and what interrupts it.
 *
 * Start: the supervisor forks it with the listeners open; it claims its row of the table, loads
 * certificates as acmed publishes them, sends READY and accepts. End: on MESSAGE_DRAIN, or
 * end-of-file on the control socket (the supervisor died), it accepts the connections that wait
 * where no other worker would, closes its listening sockets, lets clients finish, and exits
 * with 0. A crash costs only its own clients their connections: its cells stop counting, its
 * sockets stay open in the supervisor with all connections that wait in them, and another
 * worker serves them. */
#include "worker/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/exchange_ring.h"
#include "shm/message.h"
#include "worker/accept.h"
#include "worker/cert_canary.h"
#include "worker/cert_loader.h"
#include "worker/conn/conn.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"
#include "worker/descriptors.h"
#include "worker/http/route.h"
#include "worker/log/access.h"
#include "worker/login/login.h"
#include "worker/proxy/attempt_events.h"
#include "worker/proxy/detached.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/hedge.h"
#include "worker/proxy/measured.h"
#include "worker/proxy/refresh.h"
#include "worker/proxy/retry.h"
#include "worker/proxy/sticky.h"
#include "worker/tls/tls.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"
#include "worker/upstream/upstream_tls.h"

enum {
    READY_WAIT_MS = 5000, /* how long to wait for certificates; then it serves what it has */
};

static struct worker worker;
static bool said_ready;
static struct loop_timer certs_turn; /* fires if more certificates are to be loaded */
static uint64_t started_ms;

/* ---- small services */

static void renew_date(struct worker *w)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

/* The value is the same for all responses. */
static void make_hsts(struct worker *w)
{
    const struct conf_tls *tls = &w->conf->tls;
    int n;

    if (tls->hsts_ms < 1000)
        return;
    n = snprintf(w->hsts_text, sizeof w->hsts_text, "max-age=%" PRIu64 "%s",
                 (uint64_t)tls->hsts_ms / 1000,
                 tls->hsts_subdomains ? "; includeSubDomains" : "");
    w->hsts = str_make(w->hsts_text, (size_t)n);
}

enum { SESSION_BITS = 256 };

/* Counts the exchange unless its session, now marked in seen, was counted before: 1 or 0. A
 * session counts once, however many of its requests wait: four long reports of one user at one
 * backend mean nothing, four of different users do. */
static unsigned count_session_once(const struct exchange *x, uint64_t seen[SESSION_BITS / 64])
{
    unsigned bit = x->session % SESSION_BITS;
    uint64_t mask = UINT64_C(1) << bit % 64;

    if (!x->session_at)
        return 1;
    bool counted = seen[bit / 64] & mask;
    seen[bit / 64] |= mask;
    return !counted;
}

/* Publishes for each backend, for healthd, what waits for it. Exchanges that wait for their own
 * client to send the rest of a body do not count: they say nothing about the backend. */
static void publish_unanswered(struct worker *w)
{
    for (size_t i = 0; i < w->conf->n_backends; i++) {
        struct backend_view *b = &w->backends[i];
        uint64_t oldest, n = detached_waiting(b, &oldest);
        uint64_t seen[SESSION_BITS / 64] = {0};

        measured_look(b);
        for (const struct attempt *a = b->running; a; a = a->running_next) {
            uint64_t since_ms = exchange_owed_since(a->exchange) / 1000;

            if (!since_ms || a != a->exchange->active)
                continue;
            n += count_session_once(a->exchange, seen);
            if (!oldest || since_ms < oldest)
                oldest = since_ms;
        }
        atomic_store_explicit(&b->cell->oldest_ms, oldest, memory_order_relaxed);
        atomic_store_explicit(&b->cell->unanswered, n, memory_order_relaxed);
    }
}

static void publish_memory(struct worker *w)
{
    atomic_store_explicit(&w->row->buffer_bytes, w->buffered + w->waiting,
                          memory_order_relaxed);
    atomic_store_explicit(&w->row->response_bytes, w->waiting, memory_order_relaxed);
}

/* ---- ready, drain, end */

static bool is_patient(const struct worker *w)
{
    return w->loop.now_ms - started_ms < READY_WAIT_MS;
}

/* Whether to stop waiting for certificates: all are there, or it took too long. */
static bool certs_settled(const struct worker *w, bool all)
{
    /* After a reload, acmed is renewed last: for that short time a name that is new in the
     * configuration gets another certificate. And the successor of a worker that died finds all
     * certificates that there are. */
    bool first = w->heritage->generation == 1 && w->heritage->incarnation == 1;
    bool some = w->tls && tls_engine_ready(w->tls);

    return all || (some && !first) || !is_patient(w);
}

static void worker_say_ready(struct worker *w)
{
    struct message message = {.type = MESSAGE_READY};

    said_ready = true;
    message_send(w->heritage->control_fd, &message, -1);
}

static void follow_certs(struct worker *w)
{
    bool settled = certs_settled(w, cert_loader_refresh(w, is_patient(w), said_ready));

    if (w->certs_more)
        loop_timer_set(&w->loop, &certs_turn, 0);

    if (accept_start(w, said_ready || settled) < 0)
        log_error("cannot accept: %s", strerror(errno));
    if (settled && !said_ready)
        worker_say_ready(w);
}

static void go_on_with_certs(struct loop_timer *timer)
{
    (void)timer;
    follow_certs(&worker);
}

_Noreturn static void end(struct worker *w)
{
    wait_queue_close(w);
    conns_close_all(w);
    for (size_t i = 0; i < w->conf->n_backends; i++) {
        upstream_close_idle(&w->backends[i]);
        detached_close(&w->backends[i]);
    }
    loop_run_deferred(&w->loop); /* what is free now is for other workers */
    access_free(w->access);
    cert_canary_end();
    tls_engine_free(w->tls);
    upstream_tls_release(w);
    route_table_free(w->routes);
    clients_free(w);
    exit(0);
}

static void worker_drain_over(struct loop_timer *timer)
{
    (void)timer;
    log_info("drain: %u connection%s cut at the deadline", worker.nconns,
             str_plural(worker.nconns));
    worker.loop.stop = true;
}

/* last: listeners that no other worker serves (accept_stop()). */
static void drain(struct worker *w, uint64_t at_most_ms, uint64_t last)
{
    if (w->draining)
        return;
    w->draining = true;
    accept_stop(w, last);
    w->drain_deadline.fire = worker_drain_over;
    loop_timer_set(&w->loop, &w->drain_deadline, at_most_ms);
    conns_drain(w);
    worker_left(w);
}

/* ---- what interrupts a worker */

static void doorbell_rang(struct loop_source *source, uint32_t events)
{
    uint64_t rung = fd_unring(source->fd);

    (void)events;
    if (rung >= HERITAGE_RING_FREED)
        wait_queue_rung(&worker);
    if (rung && rung % HERITAGE_RING_FREED == 0)
        return; /* nothing is new, and to find that out takes a look at each row */
    refresh_backends(&worker);
    follow_certs(&worker);
    cert_canary_look(&worker);
    atomic_fetch_add_explicit(&worker.row->verdicts_seen, 1, memory_order_relaxed);
}

static void control_message(const struct message *message, int fd)
{
    switch (message->type) {
    case MESSAGE_DRAIN:
        drain(&worker, message->value, message->number);
        break;
    case MESSAGE_SERVE:
        accept_lend(&worker, message->which, message->number, fd, message->value == 1);
        break;
    case MESSAGE_UNSERVE:
        accept_return(&worker, message->which);
        break;
    case MESSAGE_TICKETS:
        if (worker.tls)
            tls_engine_tickets(worker.tls, &message->body.tickets);
        break;
    case MESSAGE_AFFINITY:
        sticky_key(&worker, message->body.affinity);
        clients_key(&worker, message->body.affinity);
        break;
    case MESSAGE_LOG:
        if (fd >= 0 && worker.access)
            access_reopen(worker.access, fd);
        else
            fd_close(&fd);
        break;
    default:
        fd_close(&fd);
        break;
    }
}

static void control_ready(struct loop_source *source, uint32_t events)
{
    struct message message;
    int got, fd;

    (void)events;
    while ((got = message_recv(source->fd, &message, &fd)) > 0) {
        control_message(&message, fd);
        explicit_bzero(&message, sizeof message);
    }
    if (got == 0) {
        log_warn("the supervisor is gone: finishing");
        loop_del(&worker.loop, &worker.control);
        drain(&worker, worker.conf->stop_timeout_ms, MESSAGE_ALL_LISTENERS);
    }
}

/* Something else wrote to our row: exchanges that waited because of it try again. */
static void repair_cells(struct worker *w)
{
    static struct log_gate gate;
    uint32_t n = backends_repair(w) + clients_repair(w);

    if (n == 0)
        return;
    if (log_gate_open(&gate))
        log_error("%u cell%s of the table did not match what runs here; repaired", n,
                  str_plural(n));
    heritage_ring_workers(w->heritage);
}

static void tick(struct loop_timer *timer)
{
    atomic_store_explicit(&worker.row->heartbeat_ms, worker.loop.now_ms, memory_order_relaxed);
    count_add(&worker.row->log_lost, log_lost_since());
    atomic_store_explicit(&worker.row->access_lost, access_dropped(worker.access),
                          memory_order_relaxed);
    renew_date(&worker);
    repair_cells(&worker);
    publish_unanswered(&worker);
    hedge_look(&worker);
    login_tick(&worker);
    publish_memory(&worker);
    if (!said_ready || worker.certs_behind)
        follow_certs(&worker);
    /* All workers at the same time: what they count of the pool's backends is compared. */
    loop_timer_set(&worker.loop, timer,
                   (uint32_t)(WORKER_TICK_MS - worker.loop.now_ms % WORKER_TICK_MS));
}

/* ---- start */

static int build_routes(struct worker *w)
{
    const struct conf *conf = w->conf;
    struct route_rule *rules = calloc(conf->n_routes, sizeof *rules);

    if (!rules)
        return -1;
    for (size_t i = 0; i < conf->n_routes; i++) {
        const struct conf_route *r = &conf->routes[i];

        rules[i] = (struct route_rule){.host = str_from(r->host),
                                       .path = str_from(r->path),
                                       .upstream_path = str_from(r->upstream_path),
                                       .target = (uint32_t)i};
    }
    w->routes = route_table_new(rules, conf->n_routes);
    free(rules);
    return w->routes ? 0 : -1;
}

static int build_tls(struct worker *w)
{
    char error[TLS_ERROR_SIZE];
    bool wanted = false;

    for (size_t i = 0; i < w->conf->n_listen; i++)
        wanted |= w->conf->listen[i].tls;
    if (!wanted)
        return 0;
    w->tls = tls_engine_new(w->conf, error, sizeof error);
    if (!w->tls)
        log_error("TLS: %s", error);
    else
        tls_engine_challenges(w->tls, w->table);
    return w->tls ? 0 : -1;
}

static int build_memory(struct worker *w)
{
    size_t size = WORKER_HEADROOM + WORKER_BODY + WORKER_TAILROOM;

    mempool_init(&w->conns, sizeof(struct conn), WORKER_KEEP);
    mempool_init(&w->exchanges, sizeof(struct exchange), WORKER_KEEP);
    detached_init(w, WORKER_KEEP);
    mempool_init(&w->upstreams, sizeof(struct upstream), WORKER_KEEP);
    mempool_init(&w->head_buffers, sizeof(struct head_buffer) + WORKER_HEAD_BUFFER,
                 WORKER_KEEP / 4);
    mempool_init(&w->request_buffers, sizeof(struct request_buffer) + WORKER_REQUEST_BUFFER,
                 WORKER_KEEP / 4);
    mempool_init(&w->h2s, sizeof(struct h2), WORKER_KEEP);
    mempool_init(&w->h2_streams, sizeof(struct h2_stream), WORKER_KEEP);
    mempool_init(&w->h2_outs, H2_OUT, WORKER_KEEP / 16);
    w->all_conns.prev = w->all_conns.next = &w->all_conns;
    w->idle_conns.prev = w->idle_conns.next = &w->idle_conns;
    w->new_conns.prev = w->new_conns.next = &w->new_conns;
    w->head_conns.prev = w->head_conns.next = &w->head_conns;
    w->status_conns.prev = w->status_conns.next = &w->status_conns;
    w->collecting.prev = w->collecting.next = &w->collecting;
    w->relay_buffer = malloc(size);
    w->head_scratch = malloc(WORKER_HEADROOM);
    w->field_scratch = malloc(WORKER_HEADROOM);
    w->h2_in = malloc(H2_READ);
    return w->relay_buffer && w->head_scratch && w->field_scratch && w->h2_in ? 0 : -1;
}

static int worker_watch(struct worker *w)
{
    w->doorbell.ready = doorbell_rang;
    w->control.ready = control_ready;
    w->tick.fire = tick;
    certs_turn.fire = go_on_with_certs;
    if (loop_add(&w->loop, &w->doorbell, w->heritage->doorbell[w->heritage->row], EPOLLIN) <
            0 ||
        loop_add(&w->loop, &w->control, w->heritage->control_fd, EPOLLIN) < 0)
        return -1;
    loop_timer_set(&w->loop, &w->tick, 0);
    return 0;
}

/* Declares which backends the rings of recent exchanges are for (shm/exchange_ring.h). */
static void open_recent(struct worker *w)
{
    const uint16_t *slot = w->heritage->backend_slot;
    uint32_t nslots = 0;

    for (size_t i = 0; i < w->conf->n_backends; i++)
        nslots = slot[i] >= nslots ? slot[i] + 1U : nslots;
    exchange_ring_begin(w->row, nslots, w->conf->workers, w->heritage->recent_room);
    for (size_t i = 0; i < w->conf->n_backends; i++) {
        struct backend_row row;

        if (backend_read(&w->table->backend[slot[i]], &row))
            exchange_ring_claim(w->row, slot[i], row.identity);
    }
}

void worker_prepare(void)
{
    tzset();
    tls_prepare();
}

static int worker_start(struct worker *w, const struct heritage *heritage)
{
    w->heritage = heritage;
    w->conf = heritage->conf;
    w->table = heritage->table;
    w->row = &heritage->table->worker[heritage->row];
    w->limits = http_limits_default;
    w->limits.head = w->conf->limits.header_bytes;
    w->limits.fields = w->conf->limits.header_fields;
    w->limits.field = w->conf->limits.field_bytes;
    w->limits.target = w->conf->limits.target_bytes;
    worker_row_reset(w->row, heritage->incarnation, TABLE_BACKENDS);
    cap_forget(heritage->table, heritage->row);
    w->session_words = table_session_words(w->table, heritage->row);
    open_recent(w);
    atomic_store(&w->row->config_generation, heritage->generation);
    atomic_store(&w->row->sandbox, heritage->sandbox);
    if (getrandom(&w->id_key, sizeof w->id_key, 0) != sizeof w->id_key)
        return -1;
    renew_date(w);
    make_hsts(w);
    if (loop_init(&w->loop) < 0 || build_memory(w) < 0 || build_routes(w) < 0 ||
        build_tls(w) < 0 || backends_init(w) < 0 || clients_init(w) < 0 || login_init(w) < 0 ||
        upstream_tls_init(w) < 0)
        return -1;
    w->loop.run_deferred = wait_queue_run;
    w->retry_queued = attempt_retry_queued;
    w->requests = &exchange_requests;
    w->login_ended = exchange_login_ended;
    w->end_slow_body = exchange_end_slow_body;
    w->end_old_head = conns_end_old_head;
    w->upstream_ops = &attempt_events;
    w->failures = &retry_failures;
    refresh_backends(w);
    hedge_init(w);
    started_ms = w->loop.now_ms;
    descriptors_init(w);
    if (w->conf->log.access != CONF_ACCESS_OFF)
        w->access = access_new(&w->conf->log, heritage->access_fd, (uint32_t)heritage->slot);
    if (worker_watch(w) < 0)
        return -1;
    if (accept_init(w) < 0)
        return -1;
    control_ready(&w->control, EPOLLIN);
    CHECK(w->has_affinity); /* it was sent before the fork, so it is here before any request */
    follow_certs(w);
    return 0;
}

_Noreturn void worker_main(const struct heritage *heritage)
{
    struct worker *w = &worker;

    if (worker_start(w, heritage) < 0) {
        log_error("cannot start: %s", strerror(errno));
        exit(1);
    }
    while (!w->loop.stop) {
        loop_once(&w->loop, w->run_first ? 0 : wait_queue_look_in_ms(w, LOOP_IDLE_WAIT_MS));
        conns_run(w);
        if (wait_queue_look(w))
            conns_run(w);
        access_flush_due(w->access, w->loop.now_ms);
    }
    end(w);
}
