#include "worker/core/clients.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bucket.h"
#include "base/check.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "base/siphash.h"
#include "shm/client_cells.h"
#include "worker/core/core.h"

enum {
    CLIENTS_BURST = 4,     /* of a rate: seconds of it that may come at once */
    CLIENTS_SLOW = 10,     /* by which the rates of one that offends are divided */
    CLIENTS_FORGIVEN = 10, /* requests that make up for one offence */
    CLIENTS_MINUTE = 60,   /* an offence of so many per minute leaves its bucket */
};

/* A rate over all workers: what this worker alone had, and what all had when it last asked. */
struct rate {
    struct bucket own, all;
    uint32_t seen; /* of the sum over all, at that time */
};

struct client {
    uint64_t id; /* 0: the place is free */
    struct client_cell *cell;
    uint32_t set;
    /* What is in the cell, which is never read back. */
    uint32_t connections, requests, connected, requested, offences, refused;
    uint64_t bytes, refused_until_ms;
    uint64_t used_ms;
    struct rate connect, request;
    struct bucket offended;
    uint32_t offences_seen, forgiving_seen; /* of the sums, as in struct rate */
    bool slow;                              /* it offends: look at all at each request */
};

struct clients {
    struct siphash_key key;
    bool has_key;
    struct client place[TABLE_CLIENTS]; /* by set; in the order of the row's cells */
};

#define CLIENT_PUT(client, field) \
    atomic_store_explicit(&(client)->cell->field, (client)->field, memory_order_relaxed)

/* ---- life */

static const struct conf_per_client *limits_of(const struct worker *worker)
{
    return &worker->conf->limits.per_client;
}

static bool clients_limit(const struct conf_per_client *l)
{
    return l->connections || l->connection_rate || l->requests || l->request_rate || l->bytes ||
           l->offences;
}

int clients_init(struct worker *worker)
{
    struct clients *all;

    worker->clients = NULL;
    if (!clients_limit(limits_of(worker)))
        return 0;
    all = calloc(1, sizeof *all);
    if (!all || getrandom(&all->key, sizeof all->key, 0) != sizeof all->key) {
        free(all);
        return -1;
    }
    for (uint32_t i = 0; i < TABLE_CLIENTS; i++) {
        all->place[i].set = i / TABLE_CLIENT_SET;
        all->place[i].cell =
            &worker->row->clients[i / TABLE_CLIENT_SET].cell[i % TABLE_CLIENT_SET];
    }
    worker->clients = all;
    return 0;
}

void clients_free(struct worker *worker)
{
    free(worker->clients);
    worker->clients = NULL;
}

void clients_key(struct worker *worker, const uint8_t secret[CLIENTS_KEY])
{
    static const char first[] = "clients, first half", second[] = "clients, second half";
    struct clients *all = worker->clients;
    struct siphash_key from;

    if (!all || all->has_key)
        return;
    from = siphash_key(secret);
    all->key.k[0] = siphash(&from, first, sizeof first);
    all->key.k[1] = siphash(&from, second, sizeof second);
    all->has_key = true;
}

static void put_cell(const struct client *c)
{
    CLIENT_PUT(c, connections);
    CLIENT_PUT(c, requests);
    CLIENT_PUT(c, bytes);
    CLIENT_PUT(c, connected);
    CLIENT_PUT(c, requested);
    CLIENT_PUT(c, offences);
    CLIENT_PUT(c, refused);
    CLIENT_PUT(c, refused_until_ms);
}

static _Atomic uint64_t *name_of(struct worker *worker, const struct client *c)
{
    return &worker->row->clients[c->set]
                .client[(c - worker->clients->place) % TABLE_CLIENT_SET];
}

static void clients_sum(const struct worker *worker, const struct client *c,
                        struct client_sum *sum)
{
    client_sum(worker->table, &worker->live, c->set, c->id, sum);
}

/* Gives the place to another client; readers leave it out meanwhile. What other workers have
 * counted so far is of no known time: this worker counts from here on. */
static void clients_settle(struct worker *worker, struct client *c, uint64_t id)
{
    _Atomic uint64_t *name = name_of(worker, c);
    struct client_sum sum;

    atomic_store_explicit(name, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    *c = (struct client){.id = id, .cell = c->cell, .set = c->set};
    put_cell(c);
    clients_sum(worker, c, &sum);
    c->connect.all.at_ms = c->request.all.at_ms = worker->loop.now_ms;
    c->offended.at_ms = worker->loop.now_ms / CLIENTS_MINUTE;
    c->connect.seen = sum.connected;
    c->request.seen = c->forgiving_seen = sum.requested;
    c->offences_seen = sum.offences;
    atomic_store_explicit(name, id, memory_order_release);
}

/* Nothing of it is here, and nothing is to be remembered that would be missed. */
static bool is_idle(const struct client *c, uint64_t now_ms)
{
    return !c->connections && !c->requests && !c->bytes && c->refused_until_ms <= now_ms;
}

static struct client *find(struct worker *worker, uint64_t id)
{
    struct clients *all = worker->clients;
    uint32_t set = client_set_of(siphash(&all->key, &id, sizeof id));
    struct client *c = &all->place[set * TABLE_CLIENT_SET], *place = NULL;
    uint64_t now_ms = worker->loop.now_ms;

    for (int i = 0; i < TABLE_CLIENT_SET; i++, c++) {
        if (c->id == id)
            return c;
        if (!is_idle(c, now_ms))
            continue;
        if (!place || (place->id && (!c->id || c->used_ms < place->used_ms)))
            place = c;
    }
    if (place)
        clients_settle(worker, place, id);
    else
        count_add(&worker->row->clients_unlimited, 1);
    return place;
}

struct client *clients_find(struct worker *worker, const struct sockaddr *address)
{
    uint64_t id = worker->clients ? client_id(address) : 0;

    return id && !conf_exempts(worker->conf, address) ? find(worker, id) : NULL;
}

/* ---- what is over */

static void clients_tell(const struct client *c, enum client_limit limit, uint64_t has,
                         uint64_t may, const char *then)
{
    static const char *const what[CLIENT_LIMITS] = {
        [CLIENT_CONNECTIONS] = "connections", [CLIENT_CONNECTION_RATE] = "at once",
        [CLIENT_REQUESTS] = "in progress",    [CLIENT_REQUEST_RATE] = "at once",
        [CLIENT_BYTES] = "bytes in buffers",  [CLIENT_OFFENCES] = "at once",
    };
    static struct log_gate gate[CLIENT_LIMITS];
    char text[CLIENT_TEXT];

    if (log_gate_open(&gate[limit]))
        log_warn("client %s is over limits.per_client.%s = %llu (%llu %s): %s",
                 client_text(text, c->id), client_limit_name(limit), (unsigned long long)may,
                 (unsigned long long)has, what[limit], then);
}

static enum client_limit refuse(struct worker *worker, struct client *c,
                                enum client_limit limit)
{
    c->refused++;
    CLIENT_PUT(c, refused);
    count_add(&worker->row->client_refusals[limit], 1);
    return limit;
}

/* What all have done since the last look goes into the bucket of all, before what has left it
 * since then: the last look may be long ago. */
static void clients_follow(struct rate *r, uint64_t now_ms, uint32_t rate, uint32_t sum)
{
    int32_t more = (int32_t)(sum - r->seen);

    if (more > 0) /* less: a worker has forgotten the client, or ended */
        bucket_put(&r->all, (int64_t)more * 1000);
    bucket_leak(&r->all, now_ms, rate);
    r->seen = sum;
}

/* Offences of all workers, less what good requests make up for. */
static void clients_judge(struct worker *worker, struct client *c, const struct client_sum *sum)
{
    uint32_t may = limits_of(worker)->offences;
    int32_t bad = (int32_t)(sum->offences - c->offences_seen);
    int32_t good = (int32_t)(sum->requested - c->forgiving_seen);

    if (!may)
        return;
    if (bad > 0)
        bucket_put(&c->offended, (int64_t)bad * 1000);
    if (good > 0)
        bucket_put(&c->offended, -(int64_t)good * 1000 / CLIENTS_FORGIVEN);
    bucket_leak(&c->offended, worker->loop.now_ms / CLIENTS_MINUTE, may);
    c->offences_seen = sum->offences;
    c->forgiving_seen = sum->requested;
    c->slow = c->offended.level * 2 >= may * UINT64_C(1000);
    if (bucket_fits(&c->offended, may) || sum->refused_until_ms > worker->loop.now_ms)
        return;
    c->refused_until_ms = worker->loop.now_ms + limits_of(worker)->refuse_ms;
    CLIENT_PUT(c, refused_until_ms);
    clients_tell(c, CLIENT_OFFENCES, c->offended.level / 1000 + 1, may,
                 "it is refused for the time of limits.per_client.refuse");
}

static uint32_t rate_of(const struct client *c, uint32_t rate)
{
    if (!c->slow)
        return rate;
    return rate > CLIENTS_SLOW ? rate / CLIENTS_SLOW : 1;
}

static uint64_t refused_until(const struct client *c, const struct client_sum *sum)
{
    return c->refused_until_ms > sum->refused_until_ms ? c->refused_until_ms
                                                       : sum->refused_until_ms;
}

/* ---- connections */

static enum client_limit may_connect(struct worker *worker, struct client *c)
{
    const struct conf_per_client *l = limits_of(worker);
    uint64_t now_ms = worker->loop.now_ms;
    struct client_sum sum;
    uint32_t rate;

    clients_sum(worker, c, &sum);
    clients_judge(worker, c, &sum);
    if (refused_until(c, &sum) > now_ms)
        return CLIENT_OFFENCES;
    if (l->connections && sum.connections > l->connections) {
        clients_tell(c, CLIENT_CONNECTIONS, sum.connections, l->connections,
                     "new ones are closed");
        return CLIENT_CONNECTIONS;
    }
    rate = rate_of(c, l->connection_rate);
    clients_follow(&c->connect, now_ms, rate, sum.connected);
    if (l->connection_rate && !bucket_fits(&c->connect.all, (uint64_t)rate * CLIENTS_BURST)) {
        clients_tell(c, CLIENT_CONNECTION_RATE, c->connect.all.level / 1000 + 1, rate,
                     c->slow ? "new ones are closed; a tenth, because of its offences"
                             : "new ones are closed");
        return CLIENT_CONNECTION_RATE;
    }
    return CLIENT_WITHIN;
}

enum client_limit clients_connect(struct worker *worker, const struct sockaddr *from,
                                  struct client **client)
{
    struct client *c = conf_trusts(worker->conf, from) ? NULL : clients_find(worker, from);
    enum client_limit over;

    *client = NULL;
    if (!c)
        return CLIENT_WITHIN;
    c->used_ms = worker->loop.now_ms;
    c->connections++;
    CLIENT_PUT(c, connections);
    over = may_connect(worker, c);
    if (over != CLIENT_WITHIN) {
        clients_disconnect(c);
        return refuse(worker, c, over);
    }
    c->connected++;
    CLIENT_PUT(c, connected);
    *client = c;
    return CLIENT_WITHIN;
}

void clients_disconnect(struct client *c)
{
    if (!c)
        return;
    CHECK(c->connections > 0);
    c->connections--;
    CLIENT_PUT(c, connections);
}

/* ---- requests */

/* Over all workers. */
static enum client_limit may_request(struct worker *worker, struct client *c, uint32_t *retry_s)
{
    const struct conf_per_client *l = limits_of(worker);
    uint64_t now_ms = worker->loop.now_ms, until;
    struct client_sum sum;
    uint32_t rate;

    clients_sum(worker, c, &sum);
    clients_judge(worker, c, &sum);
    until = refused_until(c, &sum);
    *retry_s = 1;
    if (until > now_ms) {
        *retry_s = (uint32_t)((until - now_ms + 999) / 1000);
        return CLIENT_OFFENCES;
    }
    if (c->refused_until_ms) {
        c->refused_until_ms = 0;
        CLIENT_PUT(c, refused_until_ms);
    }
    if (l->requests && sum.requests > l->requests) {
        clients_tell(c, CLIENT_REQUESTS, sum.requests, l->requests, "new ones get 503");
        return CLIENT_REQUESTS;
    }
    if (l->bytes && sum.bytes > l->bytes) {
        clients_tell(c, CLIENT_BYTES, sum.bytes, l->bytes, "new requests get 503");
        return CLIENT_BYTES;
    }
    rate = rate_of(c, l->request_rate);
    clients_follow(&c->request, now_ms, rate, sum.requested);
    if (l->request_rate && !bucket_fits(&c->request.all, (uint64_t)rate * CLIENTS_BURST)) {
        *retry_s = bucket_wait_s(&c->request.all, (uint64_t)rate * CLIENTS_BURST, rate);
        clients_tell(c, CLIENT_REQUEST_RATE, c->request.all.level / 1000 + 1, rate,
                     c->slow ? "more get 429; a tenth, because of its offences"
                             : "more get 429");
        return CLIENT_REQUEST_RATE;
    }
    return CLIENT_WITHIN;
}

/* Is it within this worker's part of each limit, so that the others need not be asked? */
static bool within_part(const struct worker *worker, struct client *c)
{
    const struct conf_per_client *l = limits_of(worker);
    uint32_t parts = (uint32_t)worker->live.n;

    if (c->slow || c->refused_until_ms)
        return false;
    if (l->requests && (uint64_t)c->requests * parts > l->requests)
        return false;
    if (l->bytes && c->bytes * parts > l->bytes)
        return false;
    if (!l->request_rate)
        return true;
    /* A part of it is the whole for events that count `parts` times. */
    bucket_leak(&c->request.own, worker->loop.now_ms, l->request_rate);
    if (c->request.own.level + parts * UINT64_C(1000) >
        l->request_rate * UINT64_C(1000) * CLIENTS_BURST)
        return false;
    bucket_put(&c->request.own, parts * INT64_C(1000));
    return true;
}

enum client_limit clients_request(struct worker *worker, struct client *c, uint32_t *retry_s)
{
    enum client_limit over;

    if (!c)
        return CLIENT_WITHIN;
    c->used_ms = worker->loop.now_ms;
    c->requests++;
    CLIENT_PUT(c, requests);
    over = within_part(worker, c) ? CLIENT_WITHIN : may_request(worker, c, retry_s);
    if (over != CLIENT_WITHIN) {
        clients_done(c);
        return refuse(worker, c, over);
    }
    c->requested++;
    CLIENT_PUT(c, requested);
    return CLIENT_WITHIN;
}

void clients_done(struct client *c)
{
    if (!c)
        return;
    CHECK(c->requests > 0);
    c->requests--;
    CLIENT_PUT(c, requests);
}

/* ---- buffers */

void clients_hold(struct client *c, ptrdiff_t n)
{
    if (!c)
        return;
    CHECK(n >= 0 || c->bytes >= (uint64_t)-n);
    c->bytes += (uint64_t)n;
    CLIENT_PUT(c, bytes);
}

bool clients_may_hold(const struct worker *worker, const struct client *c)
{
    struct client_sum sum;
    uint32_t most;

    if (!c)
        return true;
    most = limits_of(worker)->bytes;
    if (!most || c->bytes * (uint32_t)worker->live.n <= most)
        return true;
    clients_sum(worker, c, &sum);
    return sum.bytes <= most;
}

void clients_refuse_bytes(struct worker *worker, struct client *c)
{
    clients_tell(c, CLIENT_BYTES, c->bytes, limits_of(worker)->bytes,
                 "its requests get 503, and its slow readers hold their backends");
    refuse(worker, c, CLIENT_BYTES);
}

/* ---- offences */

void clients_offend(struct worker *worker, struct client *c)
{
    struct client_sum sum;

    if (!c || !limits_of(worker)->offences)
        return;
    c->offences++;
    CLIENT_PUT(c, offences);
    clients_sum(worker, c, &sum);
    clients_judge(worker, c, &sum);
}

/* ---- repair */

static bool differs(struct worker *worker, const struct client *c)
{
    const struct client_cell *cell = c->cell;

    return atomic_load_explicit(name_of(worker, c), memory_order_relaxed) != c->id ||
           (c->id && (cell->connections != c->connections || cell->requests != c->requests ||
                      cell->bytes != c->bytes || cell->offences != c->offences ||
                      cell->connected != c->connected || cell->requested != c->requested ||
                      cell->refused_until_ms != c->refused_until_ms));
}

uint32_t clients_repair(struct worker *worker)
{
    uint32_t n = 0;

    for (uint32_t i = 0; worker->clients && i < TABLE_CLIENTS; i++) {
        struct client *c = &worker->clients->place[i];

        if (!differs(worker, c))
            continue;
        put_cell(c);
        atomic_store_explicit(name_of(worker, c), c->id, memory_order_release);
        n++;
    }
    return n;
}
