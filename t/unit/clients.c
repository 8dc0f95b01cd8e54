/* What each client may have, over several workers, on a virtual clock (worker/core/clients.h,
 * shm/client_cells.h). */
#include "worker/core/clients.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/client_cells.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"

enum { WORKERS = 2, T = 1000000 };

static struct table *table;
static struct conf conf;
static struct worker workers[WORKERS];
static const uint8_t secret[CLIENTS_KEY] = {7};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static union address from(const char *text)
{
    union address a = {0};

    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
        a.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1)
        a.v6.sin6_family = AF_INET6;
    return a;
}

static void at(uint64_t ms)
{
    for (int i = 0; i < WORKERS; i++)
        workers[i].loop.now_ms = ms;
}

static void begin(struct conf_per_client limits)
{
    conf.limits.per_client = limits;
    for (int i = 0; i < WORKERS; i++) {
        const struct child_row child = {
            .kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 1};
        struct worker *w = &workers[i];

        clients_free(w);
        child_publish(&table->child[i], &child);
        *w = (struct worker){.conf = &conf, .table = table, .row = &table->worker[i]};
        worker_row_reset(w->row, 1, TABLE_BACKENDS);
        w->live = (struct cap_rows){.rows = {0, 1}, .n = WORKERS};
        ok(clients_init(w) == 0, "worker %d", i);
        clients_key(w, secret);
    }
    at(T);
}

static enum client_limit open_one(int w, const char *text, struct client **c)
{
    union address a = from(text);

    return clients_connect(&workers[w], &a.any, c);
}

static uint64_t refusals(enum client_limit limit)
{
    return count_read(&workers[0].row->client_refusals[limit]) +
           count_read(&workers[1].row->client_refusals[limit]);
}

static void names(void)
{
    char text[CLIENT_TEXT];
    union address a = from("2001:db8:1:2:3:4:5:6"), b = from("2001:db8:1:2::9"),
                  c = from("2001:db8:1:3::9"), d = from("192.0.2.7"), e = from("::1");

    is_str(client_text(text, client_id(&a.any)), "2001:db8:1:2::/64", "IPv6 by its network");
    ok(client_id(&a.any) == client_id(&b.any), "all addresses of it are one client");
    ok(client_id(&a.any) != client_id(&c.any), "another network is another one");
    is_str(client_text(text, client_id(&d.any)), "192.0.2.7", "IPv4");
    is_str(client_text(text, client_id(&e.any)), "::/64", "this host");
    a.any.sa_family = AF_UNIX;
    is_int(client_id(&a.any), 0, "a socket has no client");
}

/* Writes wrong values into all cells that are in use, and into a free one; how many. */
static int spoil(struct worker_row *row)
{
    bool spoilt = false;
    int n = 0;

    for (int s = 0; s < TABLE_CLIENTS / TABLE_CLIENT_SET; s++)
        for (int i = 0; i < TABLE_CLIENT_SET; i++) {
            struct client_set *set = &row->clients[s];
            bool used = atomic_load(&set->client[i]) != 0;

            if (!used && spoilt)
                continue;
            spoilt |= !used;
            if (used)
                atomic_store(&set->cell[i].connections, 99);
            else
                atomic_store(&set->client[i], 99);
            n++;
        }
    return n;
}

static void connections(void)
{
    struct client *c[9], *other;

    begin((struct conf_per_client){.connections = 8});
    for (int i = 0; i < 8; i++)
        is_int(open_one(i % 2, "192.0.2.1", &c[i]), CLIENT_WITHIN, "connection %d", i);
    is_int(open_one(0, "192.0.2.1", &other), CLIENT_CONNECTIONS, "one more than may be");
    is_int(open_one(1, "192.0.2.1", &other), CLIENT_CONNECTIONS, "at any worker");
    ok(!other, "it has no client");
    is_int(refusals(CLIENT_CONNECTIONS), 2, "counted");
    is_int(open_one(1, "192.0.2.2", &other), CLIENT_WITHIN, "others do not feel it");
    clients_disconnect(c[0]);
    is_int(open_one(1, "192.0.2.1", &c[0]), CLIENT_WITHIN, "one that ended makes room");
    is_int(open_one(0, "127.0.0.1", &other), CLIENT_WITHIN, "this host");
    ok(!other, "has no limits");
    is_int(spoil(&table->worker[1]), 3, "a worker has two clients, and a free place");
    is_int(clients_repair(&workers[1]), 3, "wrong cells are found");
    is_int(clients_repair(&workers[1]), 0, "and mended");
}

static void rates(void)
{
    struct client *c, *d;
    uint32_t retry_s = 0;
    int in = 0;

    begin((struct conf_per_client){.request_rate = 10, .connection_rate = 5});
    for (int i = 0; i < 30; i++)
        in += open_one(i % 2, "192.0.2.1", &c) == CLIENT_WITHIN;
    /* A worker does not know what came before it knew the client. */
    ok(in == 20 || in == 21, "connections: a burst of four seconds, over both workers: %d", in);
    at(T + 1000);
    while (open_one(in % 2, "192.0.2.1", &c) == CLIENT_WITHIN)
        in++;
    ok(in >= 25 && in <= 27, "then five in a second: %d", in);

    open_one(0, "192.0.2.9", &c);
    open_one(1, "192.0.2.9", &d);
    in = 0;
    for (int i = 0; i < 200; i++)
        in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
    is_int(in, 40, "requests: a burst, when all are at one worker");
    is_int(retry_s, 1, "and come back after a second");
    in = 0;
    for (uint64_t ms = 1000; ms < 61000; ms += 10) {
        at(T + ms);
        in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
        in += clients_request(&workers[1], d, &retry_s) == CLIENT_WITHIN;
    }
    ok(in >= 595 && in <= 650, "ten a second, over both: %d in a minute", in);
    ok(refusals(CLIENT_REQUEST_RATE) > 1000, "the others are counted");
}

/* For an hour each worker has looked at itself only; then one has all of it. */
static void alone_for_long(void)
{
    struct client *c, *d;
    uint32_t retry_s;
    int in = 0;

    begin((struct conf_per_client){.request_rate = 100});
    open_one(0, "192.0.2.1", &c);
    open_one(1, "192.0.2.1", &d);
    for (uint64_t ms = 0; ms < 3600000; ms += 100) {
        at(T + ms);
        for (int i = 0; i < 4; i++) {
            in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
            in += clients_request(&workers[1], d, &retry_s) == CLIENT_WITHIN;
        }
    }
    is_int(in, 8 * 36000, "80 a second at a limit of 100, for an hour");
    in = 0;
    for (int i = 0; i < 300; i++)
        in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
    is_int(in, 300, "a burst is judged by the last seconds, not by the hour");
}

static void requests(void)
{
    struct client *c, *d;
    uint32_t retry_s = 0;

    begin((struct conf_per_client){.requests = 10});
    open_one(0, "192.0.2.1", &c);
    open_one(1, "192.0.2.1", &d);
    for (int i = 0; i < 10; i++)
        is_int(clients_request(&workers[0], c, &retry_s), CLIENT_WITHIN, "request %d", i);
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_REQUESTS, "one more");
    clients_done(c);
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_WITHIN, "one that ended");
    is_int(clients_request(&workers[1], d, &retry_s), CLIENT_WITHIN,
           "a worker's part is its own");
    for (int i = 0; i < 10; i++)
        clients_done(c);
    clients_done(d);
    is_int(refusals(CLIENT_REQUESTS), 1, "counted");
}

static void buffers(void)
{
    struct client *c;
    uint32_t retry_s = 0;

    begin((struct conf_per_client){.bytes = 100000});
    open_one(0, "192.0.2.1", &c);
    clients_hold(c, 90000);
    ok(clients_may_hold(&workers[0], c), "what it may");
    clients_hold(c, 20000);
    ok(!clients_may_hold(&workers[0], c), "more than it may");
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_BYTES, "no new request");
    clients_hold(c, -110000);
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_WITHIN, "until it is given back");
    ok(clients_may_hold(&workers[0], NULL), "without limits");
}

static void offences(void)
{
    struct client *c, *d, *other;
    uint32_t retry_s = 0;
    int in = 0;

    begin((struct conf_per_client){
        .offences = 60, .refuse_ms = 30000, .request_rate = 100, .connection_rate = 100});
    open_one(0, "192.0.2.1", &c);
    open_one(1, "192.0.2.1", &d);
    for (int i = 0; i < 45; i++)
        clients_offend(&workers[i % 2], i % 2 ? d : c);
    for (int i = 0; i < 100; i++)
        in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
    is_int(in, 40, "half of it: a tenth of the rate");
    for (int i = 0; i < 40; i++)
        clients_offend(&workers[i % 2], i % 2 ? d : c);
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_OFFENCES, "all of it: refused");
    is_int(retry_s, 30, "for the time that is set");
    is_int(open_one(1, "192.0.2.1", &other), CLIENT_OFFENCES, "no connection, at any worker");
    is_int(open_one(1, "192.0.2.2", &other), CLIENT_WITHIN, "others do not feel it");
    at(T + 30000);
    is_int(open_one(1, "192.0.2.1", &other), CLIENT_WITHIN, "then it may come again");
    at(T + 90000);
    is_int(clients_request(&workers[0], c, &retry_s), CLIENT_WITHIN, "as before");

    /* An office in which one program is broken: two bad ones a second beside thirty good. */
    open_one(0, "192.0.2.7", &c);
    in = 0;
    for (uint64_t ms = 0; ms < 600000; ms += 500) {
        at(T + 100000 + ms);
        clients_offend(&workers[0], c);
        for (int i = 0; i < 15; i++) {
            in += clients_request(&workers[0], c, &retry_s) == CLIENT_WITHIN;
            clients_done(c);
        }
    }
    is_int(in, 15 * 1200, "who mostly behaves is not refused");
}

static void full(void)
{
    struct client *c;
    char text[32];
    int limited = 0;

    begin((struct conf_per_client){.connections = 1000});
    for (int i = 0; i < 3 * TABLE_CLIENTS; i++) {
        snprintf(text, sizeof text, "10.%d.%d.1", i / 250, i % 250);
        if (open_one(0, text, &c) != CLIENT_WITHIN)
            fail("client %d is refused", i);
        limited += c != NULL;
    }
    ok(limited > TABLE_CLIENTS * 9 / 10 && limited <= TABLE_CLIENTS,
       "no more than there are places have limits: %d", limited);
    is_int(count_read(&workers[0].row->clients_unlimited), 3 * TABLE_CLIENTS - limited,
           "the others are counted");

    begin((struct conf_per_client){.connections = 1000});
    for (int i = 0; i < 3 * TABLE_CLIENTS; i++) {
        snprintf(text, sizeof text, "10.%d.%d.1", i / 250, i % 250);
        open_one(0, text, &c);
        if (!c)
            fail("client %d has no place", i);
        clients_disconnect(c);
    }
    is_int(count_read(&workers[0].row->clients_unlimited), 0, "idle ones make room");
}

static void top(void)
{
    struct client_top found[CLIENT_TOP];
    struct client *c;
    char text[CLIENT_TEXT];

    begin((struct conf_per_client){.connections = 3});
    for (int i = 0; i < 8; i++)
        open_one(i % 2, "192.0.2.1", &c);
    for (int i = 0; i < 2; i++)
        open_one(i, "192.0.2.2", &c);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "192.0.2.%d", 100 + i);
        open_one(1, text, &c);
    }
    is_int(client_top(table, found), CLIENT_TOP, "the status shows a few");
    is_str(client_text(text, found[0].client), "192.0.2.1", "first who was refused");
    is_int(found[0].sum.refused, 5, "how often");
    is_int(found[0].sum.connections, 3, "over all workers");
    is_str(client_text(text, found[1].client), "192.0.2.2", "then who has most");
}

int main(void)
{
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "clients");
    names();
    connections();
    rates();
    alone_for_long();
    requests();
    buffers();
    offences();
    full();
    top();
    return done();
}
