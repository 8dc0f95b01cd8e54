#include "worker/proxy/permit.h"

#include "base/conf/conf.h"
#include "base/conf/networks.h"
#include "base/log.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/proxy/exchange.h"

static bool permit_refuse(struct exchange *x, const char *detail)
{
    count_add(&x->worker->row->requests_denied, 1);
    exchange_fail(x, 403, EXCHANGE_END_PROXY, NULL, detail);
    return false;
}

bool permit_listener(struct exchange *x)
{
    const struct conf_listen *listen = x->peer->listen;
    static struct log_gate gate;

    if (conf_networks_admit(listen->clients, listen->n_clients, x->origin.address))
        return true;
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info("requests at %s refused, such as from %.*s: clients of that listener does not "
                 "admit them",
                 listen->address, STR_ARG(x->origin.ip));
    return permit_refuse(x, "the listener does not admit this client (clients)");
}

bool permit_route(struct exchange *x)
{
    const struct conf_route *route = x->route;
    static struct log_gate gate;

    if (route->n_clients == 0 ||
        conf_networks_admit(route->clients, route->n_clients, x->origin.address))
        return true;
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info(
            "requests for route %s%s refused, such as from %.*s: its clients does not admit "
            "them",
            route->host, route->path, STR_ARG(x->origin.ip));
    return permit_refuse(x, "the route does not admit this client (clients)");
}
