/* The worker between the scripts: built as worker.c builds it, without sockets for clients. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/exchange_ring.h"
#include "t/unit/script/script.h"
#include "worker/core/buffers.h"
#include "worker/http/route.h"
#include "worker/log/access.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/attempt_events.h"
#include "worker/proxy/detached.h"
#include "worker/proxy/refresh.h"
#include "worker/proxy/retry.h"
#include "worker/proxy/sticky.h"
#include "worker/upstream/upstream.h"

enum {
    ROW = 0,
    EJECT_MS = 10000, /* how long an ejection lasts */
    MAX_SECONDS = 300 /* a whole program may take so long: rather than to hang */
};

struct conf script_conf;
struct conf_route script_route;
struct conf_pool script_pool;
struct conf_backend script_conf_backend[SCRIPT_BACKENDS];
struct worker script_worker;

static const uint16_t slots[SCRIPT_BACKENDS] = {0, 1, 2, 3};
static struct heritage heritage = {.kind = KIND_WORKER,
                                   .row = ROW,
                                   .incarnation = 1,
                                   .generation = 1,
                                   .backend_slot = slots,
                                   .recent_room = TABLE_RECENT};
static struct health_row health[SCRIPT_BACKENDS];
static int log_fd = -1;

/* ---- settings */

void script_defaults(void)
{
    static const char *const names[SCRIPT_BACKENDS] = {"pas1", "pas2", "pas3", "pas4"};

    for (uint32_t i = 0; i < SCRIPT_BACKENDS; i++)
        script_conf_backend[i] = (struct conf_backend){.index = i,
                                                       .name = names[i],
                                                       .route = names[i],
                                                       .host = "127.0.0.1",
                                                       .socket = "",
                                                       .port = 8810,
                                                       .weight = 1};
    script_pool = (struct conf_pool){.name = "pas",
                                     .fail_open = CONF_FAIL_OPEN_OFF,
                                     .sticky = CONF_STICKY_ROUTE,
                                     .queue = {.size = 8, .timeout_ms = SCRIPT_QUEUE_MS},
                                     .retries = 2,
                                     .backends = script_conf_backend,
                                     .session_idle_ms = 1800000};
    script_route = (struct conf_route){.host = "",
                                       .path = "/",
                                       .upstream_path = "/",
                                       .pool = &script_pool,
                                       .timeouts = {.body_ms = SCRIPT_BODY_MS,
                                                    .connect_ms = SCRIPT_CONNECT_MS,
                                                    .first_byte_ms = SCRIPT_FIRST_BYTE_MS,
                                                    .response_idle_ms = SCRIPT_RESPONSE_IDLE_MS,
                                                    .tunnel_ms = SCRIPT_TUNNEL_MS},
                                       .body_bytes = 1 << 20,
                                       .request_buffer = SCRIPT_REQUEST_BUFFER,
                                       .retry = CONF_RETRY_DEFAULT,
                                       .allow = ""};
    script_conf = (struct conf){
        .workers = 1,
        .log = {.access = CONF_ACCESS_FILE, .access_format = CONF_ACCESS_JSON},
        .timeouts = {.upstream_idle_ms = 600000},
        .limits = {.memory = 64 << 20, .upstream_keepalive = 8, .upstream_pinned = 8},
        .pools = &script_pool,
        .n_pools = 1,
        .backends = script_conf_backend,
        .routes = &script_route,
        .n_routes = 1};
}

/* ---- verdicts and drains */

static void publish(uint32_t i)
{
    health_publish(&script_worker.table->health[i], &health[i]);
    refresh_backends(&script_worker);
}

static void judge(uint32_t i, enum health_state state, enum health_cause cause)
{
    health[i].state = (uint8_t)state;
    health[i].cause = (uint8_t)cause;
    publish(i);
}

void script_verdict(uint32_t i, enum health_state state)
{
    judge(i, state, CAUSE_NONE);
}

void script_probation(uint32_t i, enum health_cause cause)
{
    judge(i, HEALTH_PROBATION, cause);
}

void script_hedge_all(uint32_t i)
{
    health[i].hedge_all = 1;
    script_probation(i, CAUSE_SILENT);
}

void script_unlike(uint32_t i, enum health_cause cause)
{
    health[i].weight_permille = HEALTH_UNLIKE_PERMILLE;
    judge(i, HEALTH_DEGRADED, cause);
}

void script_eject(uint32_t i)
{
    health[i].eject_until_ms = script_worker.loop.now_ms + EJECT_MS;
    health[i].ejections = 1;
    health[i].probe_ok = 1;
    script_verdict(i, HEALTH_EJECTED);
}

void script_drain(uint32_t i, enum drain_end end)
{
    const struct admin_row row = {.override = ADMIN_DRAIN, .drained = (uint8_t)end};

    admin_publish(&script_worker.table->admin[i], &row);
    refresh_backends(&script_worker);
}

/* ---- start */

static struct table *new_table(void)
{
    const struct child_row child = {
        .kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = heritage.incarnation};
    struct table *table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(table != MAP_FAILED);
    rows_forget();
    child_publish(&table->child[ROW], &child);
    atomic_store(&table->session_words[ROW], TABLE_SESSION_WORDS);
    atomic_store(&table->recent_rows[ROW], TABLE_RECENT);
    return table;
}

static void build_memory(struct worker *w)
{
    mempool_init(&w->exchanges, sizeof(struct exchange), 0);
    detached_init(w, 0);
    mempool_init(&w->upstreams, sizeof(struct upstream), 0);
    mempool_init(&w->head_buffers, sizeof(struct head_buffer) + WORKER_HEAD_BUFFER, 0);
    mempool_init(&w->request_buffers, sizeof(struct request_buffer) + WORKER_REQUEST_BUFFER, 0);
    w->relay_buffer = malloc(WORKER_HEADROOM + WORKER_BODY + WORKER_TAILROOM);
    w->head_scratch = malloc(WORKER_HEADROOM);
    w->field_scratch = malloc(WORKER_HEADROOM);
    CHECK(w->relay_buffer && w->head_scratch && w->field_scratch);
}

static void build_routes(struct worker *w)
{
    const struct route_rule rule = {.path = str_from(script_route.path),
                                    .upstream_path = str_from(script_route.upstream_path)};

    w->routes = route_table_new(&rule, 1);
    CHECK(w->routes);
}

static void doorbell(struct loop_source *source, uint32_t events)
{
    uint64_t rung = fd_unring(source->fd);

    (void)events;
    if (rung >= HERITAGE_RING_FREED)
        wait_queue_rung(&script_worker);
    if (rung % HERITAGE_RING_FREED)
        refresh_backends(&script_worker);
}

/* Who waits is called when no event is being handled, and not while another one is. */
static bool deferred_runs, queued_runs, called_within;

static void run_deferred(struct loop *loop)
{
    called_within |= deferred_runs;
    deferred_runs = true;
    wait_queue_run(loop);
    deferred_runs = false;
}

static bool retry_queued(struct waiter *waiter)
{
    bool took;

    called_within |= !deferred_runs || queued_runs;
    queued_runs = true;
    took = attempt_retry_queued(waiter);
    queued_runs = false;
    return took;
}

static void watch_doorbell(struct worker *w)
{
    heritage.doorbell[ROW] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    heritage.doorbell_healthd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    heritage.doorbell_acmed = -1;
    w->doorbell.ready = doorbell;
    CHECK(loop_add(&w->loop, &w->doorbell, heritage.doorbell[ROW], EPOLLIN) == 0);
}

static void first_verdicts(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct sockaddr_in at = script_backend_address(i);

        health[i] = (struct health_row){.state = HEALTH_UP,
                                        .weight_permille = 1000,
                                        .slow_ms = 1000,
                                        .has_address = 1,
                                        .probe_ok = 1,
                                        .hang_timeout_ms = SCRIPT_HANG_MS,
                                        .score_permille = 1000};
        memcpy(&health[i].address, &at, sizeof at);
        publish(i);
    }
}

static void open_log(struct worker *w)
{
    log_fd = memfd_create("access", MFD_CLOEXEC);
    w->access = access_new(&script_conf.log, dup(log_fd), 0);
    CHECK(log_fd >= 0 && w->access);
}

/* Scripted clients send whole heads. */
static bool no_old_head(struct worker *w)
{
    (void)w;
    return false;
}

void script_start(uint32_t n)
{
    const uint8_t key[AFFINITY_KEY] = {1};
    struct worker *w = &script_worker;

    script_stop_clock();
    signal(SIGPIPE, SIG_IGN);
    alarm(MAX_SECONDS);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "script");
    memset(w, 0, sizeof *w);
    script_conf.n_backends = script_pool.n_backends = n;
    heritage.conf = &script_conf;
    w->heritage = &heritage;
    w->conf = &script_conf;
    w->table = heritage.table = new_table();
    w->row = &w->table->worker[ROW];
    w->limits = http_limits_default;
    w->max_upstreams = 64;
    worker_row_reset(w->row, heritage.incarnation, SCRIPT_BACKENDS);
    cap_forget(w->table, ROW);
    atomic_store(&w->row->config_generation, heritage.generation);
    exchange_ring_begin(w->row, n, 1, heritage.recent_room);
    CHECK(loop_init(&w->loop) == 0);
    build_memory(w);
    build_routes(w);
    CHECK(backends_init(w) == 0);
    w->loop.run_deferred = run_deferred;
    w->retry_queued = retry_queued;
    called_within = false;
    w->requests = &exchange_requests;
    w->end_slow_body = exchange_end_slow_body;
    w->end_old_head = no_old_head;
    w->collecting.prev = w->collecting.next = &w->collecting;
    w->upstream_ops = &attempt_events;
    w->failures = &retry_failures;
    sticky_key(w, key);
    open_log(w);
    watch_doorbell(w);
    script_own_errors = 0;
    script_backends_open(n);
    first_verdicts(n);
}

/* ---- events and time */

static bool neighbours_turn(void)
{
    bool clients = script_clients_turn(), backends = script_backends_turn();

    return clients || backends;
}

void script_run(void)
{
    enum { QUIET_MS = 1 };

    do {
        loop_once(&script_worker.loop, 0);
        while (neighbours_turn())
            continue;
        wait_queue_look(&script_worker);
    } while (script_any_ready(QUIET_MS));
}

void script_wait(uint32_t ms)
{
    script_move_clock(ms * UINT64_C(1000));
    script_run();
}

/* ---- the log */

unsigned script_log_lines(void)
{
    char text[16 * 1024];
    unsigned lines = 0;
    off_t at = 0;
    ssize_t n;

    access_flush(script_worker.access);
    for (; (n = pread(log_fd, text, sizeof text, at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    return lines;
}

const char *script_log_field(const char *name)
{
    static char text[ACCESS_LINE_MAX + 1];
    char key[64], *line, *value;
    off_t size, from;
    ssize_t n;

    access_flush(script_worker.access);
    size = lseek(log_fd, 0, SEEK_END);
    from = size > ACCESS_LINE_MAX ? size - ACCESS_LINE_MAX : 0;
    n = pread(log_fd, text, ACCESS_LINE_MAX, from);
    if (n <= 0)
        return "";
    text[n - 1] = '\0'; /* the last end of a line */
    line = strrchr(text, '\n');
    sprintf(key, ",\"%s\":", name);
    value = strstr(line ? line : text, key);
    if (!value)
        return "";
    value += strlen(key);
    if (*value == '"')
        value[1 + strcspn(value + 1, "\"")] = '\0', value++;
    else
        value[strcspn(value, ",}")] = '\0';
    return value;
}

/* ---- the end */

/* Each exchange is in the log once, and once in the responses by class. */
static void count_all(char *wrong, size_t size)
{
    const struct worker_row *row = script_worker.row;
    uint64_t begun = count_read(&row->exchanges_total), by_class = 0;

    for (size_t i = 0; i < sizeof row->status / sizeof *row->status; i++)
        by_class += count_read(&row->status[i]);
    if (by_class != begun || script_log_lines() != begun)
        snprintf(wrong, size, "%llu exchanges, %llu counted by their status, %u in the log",
                 (unsigned long long)begun, (unsigned long long)by_class, script_log_lines());
    else if (count_read(&row->own_errors) != script_own_errors)
        snprintf(wrong, size, "%u errors of pasgate itself, %llu counted", script_own_errors,
                 (unsigned long long)count_read(&row->own_errors));
    else if (backends_repair(&script_worker))
        snprintf(wrong, size, "the table's cells do not match what the worker holds");
}

static void release(struct worker *w)
{
    for (size_t i = 0; i < script_conf.n_backends; i++)
        free((char *)(uintptr_t)w->backends[i].authority.p);
    free(w->pools[0].balance);
    free(w->pools[0].in_flight);
    free(w->pools[0].slots);
    free(w->pools);
    free(w->backends);
    mempool_release(&w->exchanges);
    mempool_release(&w->detached);
    mempool_release(&w->upstreams);
    mempool_release(&w->head_buffers);
    mempool_release(&w->request_buffers);
    route_table_free(w->routes);
    access_free(w->access);
    fd_close(&log_fd);
    free(w->relay_buffer);
    free(w->head_scratch);
    free(w->field_scratch);
    loop_close(&w->loop, &w->doorbell);
    fd_close(&heritage.doorbell_healthd);
    loop_release(&w->loop);
    munmap(w->table, sizeof *w->table);
}

void script_stop(void)
{
    script_worker.draining = true;
    wait_queue_close(&script_worker);
    script_clients_end();
    for (size_t i = 0; i < script_conf.n_backends; i++) {
        upstream_close_idle(&script_worker.backends[i]);
        detached_close(&script_worker.backends[i]);
    }
    loop_run_deferred(&script_worker.loop);
}

const char *script_over(void)
{
    static char wrong[SCRIPT_HELD + 64];
    const char *held;

    wrong[0] = '\0';
    loop_run_deferred(&script_worker.loop); /* its last turn ends here */
    held = script_held();
    if (*held)
        sprintf(wrong, "held: %s", held);
    script_stop();
    held = script_held();
    if (!*wrong && *held)
        sprintf(wrong, "held after the worker's end: %s", held);
    if (!*wrong)
        count_all(wrong, sizeof wrong);
    if (!*wrong && called_within)
        sprintf(wrong, "one that waits was called from within an event");
    release(&script_worker);
    script_backends_close();
    return wrong;
}
