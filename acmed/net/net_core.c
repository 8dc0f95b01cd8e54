#include "acmed/net/net_core.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { EXCERPT_SIZE = 201 };

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
    char all[2 * sizeof f->detail];
    va_list ap;

    if (f->type[0])
        return false;
    snprintf(f->type, sizeof f->type, "%s", type);
    /* Retry-After counts even if the body is HTML or empty. */
    if (net_not_now(net) && net->reply.has_retry_after)
        f->retry_after_s = net->reply.retry_after_s;
    va_start(ap, fmt);
    vsnprintf(all, sizeof all, fmt, ap);
    va_end(ap);
    make_plain(all); /* libcurl may quote untrusted data */
    str_fit(f->detail, sizeof f->detail, str_from(all));
    return false;
}

/* The beginning of a body that is no problem document, such as the page of a firewall: text
 * without tags, and without what cannot be seen. */
static void net_core_excerpt(struct str body, char out[EXCERPT_SIZE])
{
    char text[EXCERPT_SIZE + 2]; /* longer than out, so that a cut is noticed */
    bool tag = false, space = false;
    size_t n = 0;

    for (size_t i = 0; i < body.n && n < EXCERPT_SIZE; i++) {
        char c = body.p[i];

        if (c == '<' || tag) {
            tag = c != '>';
            space = true;
        } else if (c > ' ' && c <= '~') {
            if (space && n)
                text[n++] = ' ';
            text[n++] = c;
            space = false;
        } else {
            space = true;
        }
    }
    str_fit(out, EXCERPT_SIZE, str_make(text, n));
}

/* A response with an error status that is no problem document. */
static bool no_problem(struct net *net)
{
    char excerpt[EXCERPT_SIZE];

    net_core_excerpt(net->reply.body, excerpt);
    return *excerpt
               ? net_fail(net, "net.response",
                          "the CA, or something in front of it, responded with status %u "
                          "and this text: %s",
                          net->reply.status, excerpt)
               : net_fail(net, "net.response", "the CA responded with status %u and no reason",
                          net->reply.status);
}

/* RFC 8555 section 7.3.3: `instance` names the page to open; it is in the detail already. The
 * terms are in a Link of the response; those of the directory may be the old ones. */
static void needs_user(struct net *net)
{
    const struct acme_problem *p = &net->problem;

    if (strstr(p->detail, "https://"))
        net_fail(net, p->type, "%s", p->detail);
    else if (net->reply.terms[0])
        net_fail(net, p->type, "%.200s; see %s", p->detail, net->reply.terms);
    else if (net->directory.terms[0])
        net_fail(net, p->type, "%.200s; no page is named; the CA's terms of service were at %s",
                 p->detail, net->directory.terms);
    else
        net_fail(net, p->type, "%s; no page is named", p->detail);
}

bool net_fail_by_ca(struct net *net)
{
    const struct acme_problem *p = &net->problem;
    struct job_problem *f = &net->failed;

    if (f->type[0])
        return false;
    if (p->type[0] == '\0')
        return no_problem(net);
    if (strcmp(p->type, "userActionRequired") == 0)
        needs_user(net);
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

bool net_fail_by_ended(struct net *net, enum acme_status status, const char *name)
{
    const char *what = status == ACME_DEACTIVATED ? "deactivated"
                       : status == ACME_EXPIRED   ? "let expire"
                       : status == ACME_REVOKED   ? "revoked"
                                                  : NULL;

    if (!what)
        return net_fail(net, "unauthorized",
                        "the authorization is no longer pending, nor valid");
    return net_fail(net, "net.authorization",
                    "the CA %s the authorization of %s before it was validated; no validation "
                    "failed, and the next try makes a new order",
                    what, name);
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
