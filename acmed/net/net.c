#include "acmed/net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "acmed/net/net_internal.h"
#include "acmed/order/job.h"
#include "base/clock.h"

/* ---- failures */

/* Texts for people are one line of printable ASCII, whoever wrote them. */
static void make_plain(char *text)
{
    for (char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
}

bool net_fail(struct net *net, const char *type, const char *fmt, ...)
{
    struct job_problem *f = &net->failed;
    va_list ap;

    if (f->type[0])
        return false;
    snprintf(f->type, sizeof f->type, "%s", type);
    /* Retry-After counts even if the body is HTML or empty. */
    if (net_not_now(net) && net->reply.has_retry_after)
        f->retry_after_s = net->reply.retry_after_s;
    va_start(ap, fmt);
    vsnprintf(f->detail, sizeof f->detail, fmt, ap);
    va_end(ap);
    make_plain(f->detail); /* libcurl may quote untrusted data */
    return false;
}

bool net_fail_by_ca(struct net *net)
{
    const struct acme_problem *p = &net->problem;
    struct job_problem *f = &net->failed;

    if (f->type[0])
        return false;
    if (p->type[0] == '\0')
        return net_fail(net, "net.answer", "the CA responded with status %u and no reason",
                        net->reply.status);
    if (strcmp(p->type, "userActionRequired") == 0 && !strstr(p->detail, "https://") &&
        net->directory.terms[0]) /* new terms have a URL too, if no `instance` */
        net_fail(net, p->type, "%.300s; see %s", p->detail, net->directory.terms);
    else
        net_fail(net, p->type, "%s", p->detail);
    str_copy(f->name, sizeof f->name, str_from(p->name));
    f->status = p->status ? p->status : net->reply.status;
    if (f->status > 999)
        f->status = 0;
    f->retry_after_s = net->reply.has_retry_after ? net->reply.retry_after_s : 0;
    f->account_gone = strcmp(p->type, "accountDoesNotExist") == 0;
    return false;
}

void net_leave_out(struct net *net, const char *fmt, ...)
{
    size_t n = strlen(net->left_out);
    char all[2 * TABLE_NOTE], line[TABLE_NOTE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(all, sizeof all, fmt, ap);
    va_end(ap);
    make_plain(all);
    str_fit(line, sizeof line, str_from(all));
    if (n + strlen(line) + 2 <= sizeof net->left_out)
        snprintf(net->left_out + n, sizeof net->left_out - n, "%s\n", line);
}

/* ---- acmed */

void net_tell(struct net *net, const struct ipc_message *message)
{
    if (!ipc_send(net->fd, message, net->out))
        _exit(errno == EINVAL ? 1 : 0); /* acmed is gone, or our message is invalid */
}

bool net_ask(struct net *net, const struct ipc_message *question, struct ipc_reply *reply)
{
    struct ipc_message got;

    net_tell(net, question);
    if (ipc_recv(net->fd, &got, net->in) != 1 || got.type != IPC_ANSWER)
        _exit(0);
    *reply = got.reply;
    return got.reply.number != 0;
}

bool net_progress(struct net *net, enum job_state state)
{
    struct ipc_message question = {.type = IPC_PROGRESS,
                                   .progress = {.state = state,
                                                .clock_off_ms = (uint64_t)net->clock_off_ms,
                                                .account_url = str_from(net->account_url),
                                                .order_url = str_from(net->order_url)}};
    struct ipc_reply reply;

    return net_ask(net, &question, &reply) ||
           net_fail(net, "net.refused", "acmed does not respond");
}

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
        return net_fail(net, "net.answer",
                        "no ACME directory at %.300s (status %u); check acme.directory", url,
                        status);
    return acme_json_directory(net->reply.body, &net->directory) ||
           net_fail(net, "net.answer", "%.300s is not an ACME directory; check acme.directory",
                    url);
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
                   .type = str_from(f->type[0] ? f->type : "net.answer"),
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
