/* What is remembered of an exchange that moves to another backend. */
#include "worker/proxy/exchange_stats.h"

#include <sys/mman.h>

#include "shm/exchange_ring.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"

enum { SLOT = 2, WHO = 77 };

static struct recent_row out[EXCHANGE_RING_TOLD];

int main(void)
{
    struct table *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct child_row child = {.kind = KIND_WORKER, .incarnation = 1};
    static struct worker worker;
    struct backend_view backend = {.slot = SLOT};
    struct http_request request = {.method_name = STR("GET"), .path = STR("/web/get")};
    struct exchange x = {.worker = &worker,
                         .active = &x.attempt[0],
                         .attempt = {{.backend = &backend, .sent = 2000}},
                         .request = &request,
                         .attempts = 1,
                         .status = 504,
                         .at = {.begin = 1000}};

    if (t == MAP_FAILED)
        return 1;
    worker.row = &t->worker[0];
    worker.loop.now_us = 5000;
    child_publish(&t->child[0], &child);
    atomic_store(&t->recent_rows[0], TABLE_RECENT);
    exchange_ring_begin(worker.row, 4, 1, TABLE_RECENT);
    exchange_ring_claim(worker.row, SLOT, WHO);

    x.active->state = EXCHANGE_CONNECTING;
    exchange_stats_moved(&x);
    x.active->state = EXCHANGE_WAITING;
    exchange_stats_moved(&x);
    is_int(exchange_ring_read(t, SLOT, WHO, out), 2, "two attempts that moved");
    is_str(out[0].end, "moved", "they ended so");
    is_str(out[0].phase, "connect", "while it connected");
    is_str(out[1].phase, "first-byte", "while it waited for the first byte");
    is_int(out[1].status, 0, "the client has got nothing");
    is_int(out[1].total_us, 4000, "after so long");
    return done();
}
