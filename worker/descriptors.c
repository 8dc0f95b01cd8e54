#include "worker/descriptors.h"

#include <sys/resource.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/core/core.h"

enum {
    OWN = TABLE_WORKERS +
          64,  /* doorbells; loop, logs, control, files that are open only briefly */
    LEAST = 8, /* of each kind, however few there are */
    MOST = UINT32_MAX / 4,
};

static uint32_t descriptors_at_least(uint64_t n)
{
    return n < LEAST ? LEAST : n > MOST ? MOST : (uint32_t)n;
}

struct descriptors descriptors_share(uint64_t limit, uint32_t own, uint32_t connections)
{
    uint64_t taken = (uint64_t)own + DESCRIPTORS_STATUS;
    uint64_t rest = limit > taken ? limit - taken : 0;
    uint64_t clients = rest / 3 * 2;

    if (clients > connections)
        clients = connections;
    return (struct descriptors){descriptors_at_least(clients),
                                descriptors_at_least(rest - clients)};
}

void descriptors_init(struct worker *w)
{
    uint32_t own = OWN + w->heritage->nlisteners, wanted = w->conf->limits.connections;
    struct rlimit limit = {.rlim_cur = 1024};

    getrlimit(RLIMIT_NOFILE, &limit);
    struct descriptors share = descriptors_share(limit.rlim_cur, own, wanted);
    w->max_conns = share.clients;
    w->max_upstreams = share.upstreams;
    atomic_store(&w->row->connections_limit, share.clients);
    if (share.clients < wanted && w->heritage->slot == 0)
        log_warn("limits.connections is %u, but the host gives each worker only %llu "
                 "descriptors: this is enough for %u clients and %u connections to backends; "
                 "raise the limit (LimitNOFILE of systemd, --ulimit nofile of Docker)",
                 wanted, (unsigned long long)limit.rlim_cur, share.clients, share.upstreams);
}
