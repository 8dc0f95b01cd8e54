#include "acmed/net/net.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "acmed/net/net_account.h"
#include "acmed/net/net_order.h"
#include "acmed/net/net_post.h"
#include "acmed/net/net_preflight.h"
#include "acmed/order/job.h"
#include "base/clock.h"

static bool acmed_has_gone(void *arg)
{
    struct net *net = arg;
    struct pollfd p = {.fd = net->fd};

    return (poll(&p, 1, 0) > 0 && p.revents) || clock_mono_ms() >= net_begin(net)->deadline_ms;
}

/* ---- the job */

static bool get_directory(struct net *net, const char *url)
{
    unsigned status;

    if (!net_get(net, url))
        return false;
    status = net->reply.status;
    if (net_not_now(net)) /* it may well exist */
        return net_fail_by_ca(net);
    if (status != 200)
        return net_fail(net, "net.response",
                        "no ACME directory at %.300s (status %u); check acme.directory", url,
                        status);
    return acme_json_directory(net->reply.body, &net->directory) ||
           net_fail(net, "net.response",
                    "%.300s is not an ACME directory; check acme.directory", url);
}

static bool net_run(struct net *net)
{
    char url[JOB_URL_SIZE], ca_file[4097];

    str_copy(url, sizeof url, net_begin(net)->directory);
    str_copy(ca_file, sizeof ca_file, net_begin(net)->ca_file);
    str_copy(net->account_url, sizeof net->account_url, net_begin(net)->account_url);
    net->transport = transport_new(ca_file, acmed_has_gone, net);
    if (!net->transport)
        return net_fail(net, "net.connect", "no memory");
    if (!get_directory(net, url))
        return false;
    switch ((enum job_kind)net_begin(net)->kind) {
    case JOB_ISSUE:
        return net_issue(net);
    case JOB_ACCOUNT:
        return net_account(net);
    case JOB_ROLLOVER:
        return net_rollover(net);
    case JOB_CLOSE:
        return net_close_account(net);
    case JOB_REVOKE:
        return net_revoke(net);
    case JOB_RENEWAL_INFO:
        return net_renewal_info(net);
    case JOB_PREFLIGHT:
        return net_preflight(net);
    default:
        return net_fail(net, "net.config", "no such job");
    }
}

static void tell_failed(struct net *net)
{
    const struct job_problem *f = &net->failed;
    struct ipc_message failed = {
        .type = IPC_FAILED,
        .failed = {.clock_off_ms = (uint64_t)net->clock_off_ms,
                   .status = f->status,
                   .retry_after_s = f->retry_after_s,
                   .flags = (f->order_gone ? IPC_ORDER_GONE : 0) |
                            (f->account_gone ? IPC_ACCOUNT_GONE : 0) |
                            (f->account_closed ? IPC_ACCOUNT_CLOSED : 0),
                   .challenge = f->challenge,
                   .type = str_from(f->type[0] ? f->type : "net.response"),
                   .detail = str_from(f->detail),
                   .name = str_head(str_from(f->name), 253)}};

    net_tell(net, &failed);
}

_Noreturn void net_main(int fd)
{
    struct net *net = calloc(1, sizeof *net);

    if (!net || !transport_start())
        _exit(1);
    net->fd = fd;
    net->begin_packet = malloc(IPC_MAX);
    net->in = malloc(IPC_MAX + 1); /* one more byte for a NUL */
    net->out = malloc(IPC_MAX);
    if (!net->begin_packet || !net->in || !net->out ||
        ipc_recv(fd, &net->ask, net->begin_packet) != 1 || net->ask.type != IPC_BEGIN)
        _exit(1);
    if (net_run(net)) {
        struct ipc_message done = {.type = IPC_DONE, .done = net->done};

        done.done.clock_off_ms = (uint64_t)net->clock_off_ms;
        net_tell(net, &done);
    } else {
        tell_failed(net);
    }
    _exit(0);
}
