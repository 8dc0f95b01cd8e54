#include "acmed/net/net_core.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

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
        return net_fail(net, "net.response", "the CA responded with status %u and no reason",
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
    if (ipc_recv(net->fd, &got, net->in) != 1 || got.type != IPC_REPLY)
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
           net_fail(net, "net.refused", "acmed stopped the order");
}

void net_sleep(struct net *net, uint64_t ms)
{
    struct pollfd p = {.fd = net->fd}; /* without events, poll() only reports hang-up */

    if (poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms) > 0)
        _exit(0);
}
