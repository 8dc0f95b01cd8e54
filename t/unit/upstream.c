/* A connection to a backend with an owner that is only scripted, and a backend that is a socket
 * of this test: what it reports, when, and what becomes of it after that. */
#include "worker/upstream/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/pins.h"

enum { MUCH = 8 << 20 };

static struct conf conf = {.limits = {.upstream_keepalive = 2, .upstream_pinned = 2},
                           .timeouts = {.upstream_idle_ms = 60000}};
static struct conf_backend conf_backend = {.name = "pas1"};
static struct conf_pool conf_pool = {.name = "pas"};
static struct worker worker;
static struct pool_view pool = {.worker = &worker, .conf = &conf_pool};
static struct backend_view pas;
static struct pins pins;
static struct attempt attempt;
static int listener;

/* ---- the owner */

static char events[64]; /* one letter each, in their order */
static char bytes[256];
static size_t n_bytes;
static int last_error;
static bool blocked, leaves;
static struct upstream *up;

static void note(char what)
{
    if (strlen(events) < sizeof events - 1)
        events[strlen(events)] = what;
}

static void turn(struct upstream *u)
{
    if (u != up)
        note('?');
}

static bool connected(struct upstream *u)
{
    note('c');
    if (leaves)
        upstream_close(u);
    return !leaves;
}

static void connect_failed(struct upstream *u, int error)
{
    note('f');
    last_error = error;
    upstream_close(u);
}

static void writable(struct upstream *u)
{
    (void)u;
    note('w');
}

static void send_failed(struct upstream *u)
{
    (void)u;
    note('x');
}

static bool wants_more(const struct upstream *u)
{
    (void)u;
    return !blocked;
}

static bool received(struct upstream *u, char *from, size_t n)
{
    (void)u;
    note('r');
    if (n > sizeof bytes - n_bytes)
        n = sizeof bytes - n_bytes;
    memcpy(bytes + n_bytes, from, n);
    n_bytes += n;
    return !blocked;
}

static void ended(struct upstream *u, int error)
{
    note('e');
    last_error = error;
    upstream_close(u);
}

static const struct upstream_ops script = {
    .turn = turn,
    .connected = connected,
    .connect_failed = connect_failed,
    .writable = writable,
    .send_failed = send_failed,
    .wants_more = wants_more,
    .received = received,
    .ended = ended,
};

/* ---- the rig */

static void afresh(void)
{
    memset(events, 0, sizeof events);
    n_bytes = 0;
    last_error = -1;
    blocked = leaves = false;
}

static void run(const char *until)
{
    for (int i = 0; i < 200 && !strstr(events, until); i++)
        loop_once(&worker.loop, 10);
}

static struct upstream *get(bool fresh, bool binds, bool *reused)
{
    const struct upstream_owner owner = {&script, &attempt, &pins, binds, WORKER_BODY};

    return up = upstream_get(&pas, &owner, fresh, reused);
}

static int accept_one(void)
{
    return accept(listener, NULL, NULL);
}

static void test_exchange(void)
{
    bool reused = true;
    char got[8];
    int peer;

    afresh();
    ok(get(false, false, &reused) && !reused, "a fresh one begins to connect");
    run("c");
    is_str(events, "c", "connected: reported");
    is_int(upstream_send(up, "hello", 5), 0, "what the socket takes at once does not wait");
    peer = accept_one();
    is_int(read(peer, got, sizeof got), 5, "and arrives");
    ok(write(peer, "world", 5) == 5, "a response");
    run("r");
    is_str(events, "cr", "is reported");
    ok(n_bytes == 5 && memcmp(bytes, "world", 5) == 0, "  as it is");
    upstream_keep(up, &pins);
    is_int(pas.nidle, 1, "kept");
    ok(get(false, false, &reused) && reused, "and used again");
    is_int(pas.nidle, 0, "  so it is idle no more");
    close(peer);
    run("e");
    is_str(strchr(events, 'e'), "e", "the end is reported");
    is_int(last_error, 0, "  as FIN");
    is_int(worker.nupstreams, 0, "closed");
}

static void test_silence(void)
{
    bool reused;
    int peer;

    afresh();
    get(true, false, &reused);
    run("c");
    peer = accept_one();
    upstream_keep(up, &pins);
    ok(write(peer, "x", 1) == 1, "an idle one sends something that nobody asked for");
    is_int(get(false, false, &reused) != NULL && !reused, 1, "  it is not used again");
    close(peer);
    run("cc");
    close(accept_one());
    run("e");
    is_int(worker.nupstreams, 0, "nothing is left");
}

static void test_blocked(void)
{
    bool reused;
    int peer;

    afresh();
    get(true, false, &reused);
    run("c");
    peer = accept_one();
    blocked = true;
    ok(write(peer, "abc", 3) == 3, "bytes for an owner that wants none now");
    for (int i = 0; i < 5; i++)
        loop_once(&worker.loop, 5);
    is_str(events, "c", "  are not reported");
    blocked = false;
    upstream_resume(up);
    is_str(events, "cr", "  before it resumes");
    close(peer);
    run("e");
}

static void test_much(void)
{
    char *much = calloc(1, MUCH), *to = malloc(MUCH);
    size_t got = 0;
    bool reused;
    int peer;

    afresh();
    get(true, false, &reused);
    run("c");
    peer = accept_one();
    ok(upstream_send(up, much, MUCH) > 0, "more than the socket takes: the rest waits");
    ok(worker.buffered > 0, "  and is counted");
    upstream_shutdown(up);
    while (got < MUCH) {
        ssize_t n = recv(peer, to, MUCH, MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        else
            loop_once(&worker.loop, 5);
    }
    run("w");
    is_str(events, "cw", "when all of it is sent, that is reported once");
    is_int(worker.buffered, 0, "  and nothing is counted any more");
    is_int(recv(peer, to, 1, 0), 0, "  FIN comes after the last byte");
    close(peer);
    run("e");
    free(much);
    free(to);
}

static void test_bound(void)
{
    bool reused;
    int peer;

    afresh();
    get(true, true, &reused);
    run("c");
    peer = accept_one();
    upstream_keep(up, &pins);
    ok(pas.npinned == 1 && pas.nidle == 0, "an authenticated one is kept for its client");
    get(false, false, &reused);
    ok(reused, "  who gets it again");
    upstream_keep(up, &pins);
    upstream_close_pinned(&pins);
    ok(pas.npinned == 0 && worker.nupstreams == 0, "it ends with its client");
    close(peer);
}

/* The backend sends a response, reads nothing of the request, and resets. */
static void test_send_failed(void)
{
    const struct linger reset = {1, 0};
    char *much = calloc(1, MUCH);
    bool reused;
    int peer;

    afresh();
    get(true, false, &reused);
    run("c");
    peer = accept_one();
    ok(upstream_send(up, much, MUCH) > 0, "much waits");
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(peer);
    run("e");
    is_str(events, "cxe", "sending fails: reported, and then the end, once each");
    is_int(worker.nupstreams, 0, "  where its owner closes it");
    is_int(worker.buffered, 0, "  with what waited");

    afresh();
    get(true, false, &reused);
    run("c");
    peer = accept_one();
    blocked = true;
    upstream_send(up, much, MUCH);
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(peer);
    run("x");
    is_str(events, "cx", "an owner that is blocked hears of the end later");
    is_int(worker.nupstreams, 1, "  and has its connection until then");
    blocked = false;
    upstream_resume(up);
    is_str(events, "cxe", "  when it resumes");
    free(much);
}

/* An owner that goes in the middle of an event is not told the rest of it. */
static void test_leaves(void)
{
    bool reused;
    int peer;

    afresh();
    leaves = true;
    get(true, false, &reused);
    peer = accept_one();
    ok(write(peer, "early", 5) == 5, "bytes arrive with the end of connecting");
    run("c");
    for (int i = 0; i < 3; i++)
        loop_once(&worker.loop, 5);
    is_str(events, "c", "  the owner closed it there, and hears nothing more");
    is_int(worker.nupstreams, 0, "  it is gone");
    close(peer);
}

static void test_refused(void)
{
    bool reused;

    close(listener);
    afresh();
    if (get(true, false, &reused))
        run("f");
    else
        note('f'), last_error = errno;
    is_str(events, "f", "nobody listens: reported, and nothing else");
    is_int(last_error, ECONNREFUSED, "  with the reason");
    is_int(worker.nupstreams, 0, "  and closed");
}

int main(void)
{
    alarm(60); /* rather than to hang */
    struct table *table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;

    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (table == MAP_FAILED || listener < 0 ||
        bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&here, &len) < 0 ||
        loop_init(&worker.loop) < 0)
        return 1;
    worker.table = table;
    worker.row = &table->worker[0];
    worker.conf = &conf;
    worker.max_upstreams = 16;
    worker.relay_buffer = malloc(WORKER_HEADROOM + WORKER_BODY + WORKER_TAILROOM);
    mempool_init(&worker.upstreams, sizeof(struct upstream), 4);
    pas = (struct backend_view){.conf = &conf_backend,
                                .pool = &pool,
                                .cell = &worker.row->be[0],
                                .address_len = sizeof here};
    memcpy(&pas.health.address, &here, sizeof here);
    test_exchange();
    test_silence();
    test_blocked();
    test_much();
    test_bound();
    test_send_failed();
    test_leaves();
    test_refused();
    free(worker.relay_buffer);
    return done();
}
