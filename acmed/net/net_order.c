#include "acmed/net/net_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "acmed/net/acme_request.h"
#include "acmed/net/net_account.h"
#include "acmed/net/net_post.h"
#include "acmed/net/net_proof.h"

enum {
    FINALIZE_MAX = 5, /* orderNotReady: the CA's servers are not in sync yet */
};

struct issue {
    struct net *net;
    struct acme_order order;
    struct acme_problem refused; /* why it could not be finalized yet */
    uint32_t refused_status;     /* of HTTP; 0: it was not refused */
};

/* ---- the order */

/* Whether the order has exactly the names of the job. */
static bool net_order_same_names(const struct issue *is)
{
    struct str names = net_begin(is->net)->names;
    size_t n = 0;

    while (names.n) {
        size_t end = str_index(names, '\n');
        struct str name = str_head(names, end);
        bool found = false;

        for (size_t i = 0; !found && i < is->order.n_identifiers; i++)
            found = ipc_same_name(name, str_from(is->order.identifiers[i]));
        if (!found)
            return false;
        names = str_skip(names, end < names.n ? end + 1 : end);
        n++;
    }
    return n == is->order.n_identifiers;
}

static bool take_order(struct issue *is)
{
    struct net *net = is->net;

    return acme_json_order(net->reply.body, &is->order) ||
           net_fail(net, "net.response",
                    "the CA's response does not describe an order (status %u)",
                    net->reply.status);
}

static bool look_at_order(struct issue *is)
{
    struct net *net = is->net;

    if (!net_post(net, IPC_WITH_KID, net->order_url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net)) {
        net_fail_by_ca(net);
        if (net->reply.status >= 400 && net->reply.status < 500 && net->reply.status != 429)
            return net_order_fails(net);
        return false;
    }
    return take_order(is);
}

/* true: the order of an earlier try can be resumed. */
static bool resume(struct issue *is)
{
    struct net *net = is->net;

    if (net_begin(net)->order_url.n == 0)
        return false;
    str_copy(net->order_url, sizeof net->order_url, net_begin(net)->order_url);
    if (look_at_order(is) && is->order.status != ACME_INVALID && net_order_same_names(is))
        return true;
    net->order_url[0] = '\0';
    /* Continue with a new order, unless the CA cannot be reached. */
    if (net->failed.type[0] == '\0' || net->failed.order_gone)
        net->failed = (struct job_problem){0};
    return false;
}

static bool post_order(struct net *net, const struct options *with)
{
    char profile[65], id[257], *payload;
    bool sent;

    str_copy(profile, sizeof profile, net_begin(net)->profile);
    str_copy(id, sizeof id, net_begin(net)->replaces);
    payload = acme_request_new_order(net_begin(net)->names,
                                     with->carries[OPTIONS_PROFILE] ? profile : "",
                                     with->carries[OPTIONS_REPLACES] ? id : "");
    sent = payload && net_post(net, IPC_WITH_KID, net->directory.new_order, payload, NET_ONCE);
    free(payload);
    return sent;
}

/* The CA refused the order: removes the optional part that may be the cause, and reports it.
 * false: nothing is left to remove. */
static bool leave_out(struct net *net, struct options *with)
{
    const struct options_refusal refusal = net_refusal(net);
    const struct acme_problem *why = &net->problem;
    const char *type = *why->type ? why->type : "no reason given";

    switch (options_leave_out(with, &refusal)) {
    case OPTIONS_REPLACES:
        if (net->reply.status != 409)
            net_leave_out(net,
                          "the CA refused the field \"replaces\"; ordered without it (status "
                          "%u, %.40s%s%s)",
                          net->reply.status, type, *why->detail ? ": " : "", why->detail);
        return true;
    case OPTIONS_PROFILE:
        net_leave_out(net,
                      "the CA refused the profile \"%.*s\"; ordered without it (status %u, "
                      "%.40s%s%s)",
                      STR_ARG(net_begin(net)->profile), net->reply.status, type,
                      *why->detail ? ": " : "", why->detail);
        return true;
    default:
        return false;
    }
}

/* Drops a profile that the directory does not list. false: it is required. */
static bool fits_profile(struct net *net, struct options *with)
{
    char profile[65];
    bool required;

    str_copy(profile, sizeof profile, net_begin(net)->profile);
    if (profile[0] == '\0' || acme_has_profile(&net->directory, profile))
        return true;
    required = !options_drop(with, OPTIONS_PROFILE);
    if (required && !net->directory.has_profiles)
        return net_fail(net, "invalidProfile",
                        "this CA has no profiles: remove profile = \"%s\", or set "
                        "profile_required = false",
                        profile);
    if (required)
        return net_fail(net, "invalidProfile", "this CA has no profile \"%s\"; it has %.300s",
                        profile, net->directory.profiles);
    if (net->directory.has_profiles)
        net_leave_out(net,
                      "this CA has no profile \"%s\"; ordered without a profile. It has %s",
                      profile, net->directory.profiles);
    else
        net_leave_out(net, "this CA has no profiles; ordered without profile \"%s\"", profile);
    return true;
}

static bool new_order(struct issue *is)
{
    struct net *net = is->net;
    const struct ipc_begin *b = net_begin(net);
    struct options with = {
        .carries = {[OPTIONS_REPLACES] =
                        b->replaces.n > 0 && net->directory.renewal_info[0] != '\0',
                    [OPTIONS_PROFILE] = b->profile.n > 0},
        .profile_required = b->flags & IPC_PROFILE_REQUIRED};

    if (!fits_profile(net, &with) || !net_progress(net, JOB_STATE_ACCOUNT))
        return false;
    do
        if (!post_order(net, &with))
            return false;
    while (!net_succeeded(net) && leave_out(net, &with));
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    if (net->reply.location[0] == '\0')
        return net_fail(net, "net.response", "the CA's response has no URL for the order");
    str_copy(net->order_url, sizeof net->order_url, str_from(net->reply.location));
    return take_order(is);
}

/* ---- the certificate */

/* true: the CA has accepted the CSR, or says that the order is not ready yet. */
static bool post_csr(struct net *net, const char *url)
{
    struct ipc_message question = {.type = IPC_CSR};
    struct ipc_reply reply;
    char *csr, *payload;
    bool sent;

    if (!net_ask(net, &question, &reply))
        return net_fail(net, "net.config", "there is no key for the certificate");
    csr = strndup(reply.bytes.p, reply.bytes.n);
    payload = csr ? acme_request_one("csr", csr) : NULL;
    sent = payload && net_post(net, IPC_WITH_KID, url, payload, NET_ONCE);
    free(payload);
    free(csr);
    if (!sent && strcmp(net->failed.type, "net.connect") == 0) {
        net->failed = (struct job_problem){0}; /* response lost: ask for the order */
        return true;
    }
    return sent && (net_succeeded(net) || strcmp(net->problem.type, "orderNotReady") == 0 ||
                    net->reply.status >= 500 || net_fail_by_ca(net));
}

/* Finalizes; on success the response holds the order's new state. */
static bool hand_in(struct issue *is)
{
    struct net *net = is->net;

    if (!post_csr(net, is->order.finalize))
        return false;
    if (!net_succeeded(net)) {
        is->refused = net->problem;
        is->refused_status = net->reply.status;
        return true;
    }
    return take_order(is) && net_progress(net, JOB_STATE_FINALIZED);
}

/* The CA had time enough. */
static bool not_finalized(const struct issue *is)
{
    struct net *net = is->net;

    if (is->refused.type[0])
        net_fail(net, is->refused.type, "%s", is->refused.detail);
    else if (is->refused_status)
        net_fail(net, "net.response", "the CA did not finalize the order (status %u)",
                 is->refused_status);
    else
        net_fail(net, "net.response", "the CA did not finalize the order, and gave no reason");
    net->failed.status = is->refused_status;
    str_copy(net->failed.name, sizeof net->failed.name, str_from(is->refused.name));
    return false;
}

/* Brings the order from its current state to valid. */
static bool net_order_finish(struct issue *is)
{
    struct net *net = is->net;
    unsigned finalized = 0, tries = 0;

    for (;;) {
        switch (is->order.status) {
        case ACME_VALID:
            if (is->order.certificate[0])
                return true;
            break;
        case ACME_READY:
            if (finalized++ == FINALIZE_MAX)
                return not_finalized(is);
            if (!net_progress(net, JOB_STATE_VALIDATED) || !hand_in(is))
                return false;
            tries = 0;
            if (is->order.status == ACME_VALID)
                continue;
            break;
        case ACME_PENDING:
        case ACME_PROCESSING:
            break;
        default:
            if (is->order.error.type[0]) {
                net_fail(net, is->order.error.type, "%s", is->order.error.detail);
                str_copy(net->failed.name, sizeof net->failed.name,
                         str_from(is->order.error.name));
                net->failed.status = is->order.error.status;
            }
            net_fail(net, "net.response", "the CA abandoned the order");
            return net_order_fails(net);
        }
        if (!net_wait(net, tries++, is->order.expires_wall_ms))
            return net_order_fails(net);
        if (!look_at_order(is))
            return false;
    }
}

/* Downloads one chain and sends it to acmed. */
static bool show_chain(struct net *net, const char *url, uint64_t *verdict)
{
    struct ipc_message question = {.type = IPC_CHAIN};
    struct ipc_reply reply;

    if (!net_post(net, IPC_WITH_KID, url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    if (net->reply.body.n > JOB_CHAIN_MAX)
        return net_fail(net, "net.chain", "the chain is larger than %d KiB",
                        JOB_CHAIN_MAX / 1024);
    question.chain.pem = net->reply.body;
    if (net_ask(net, &question, &reply)) {
        *verdict = reply.number;
        return true;
    }
    return net_fail(net, "net.chain", "%.*s", STR_ARG(reply.bytes));
}

static bool download(struct issue *is)
{
    struct net *net = is->net;
    char alternates[TRANSPORT_ALTERNATES][JOB_URL_SIZE];
    uint64_t verdict = IPC_CHAIN_BAD;
    size_t n;

    if (!show_chain(net, is->order.certificate, &verdict))
        return strcmp(net->failed.type, "net.chain") == 0 ? net_order_fails(net) : false;
    n = net->reply.n_alternates;
    memcpy(alternates, net->reply.alternates, sizeof alternates);
    for (size_t i = 0; verdict != IPC_CHAIN_PREFERRED && i < n; i++)
        if (!show_chain(net, alternates[i], &verdict))
            net->failed = (struct job_problem){0}; /* the first will do */
    return true;
}

/* If the CA no longer knows the account, for example after it lost its data, creates a new
 * account with the same key, and orders again in the same try. */
static bool order_again(struct issue *is)
{
    struct net *net = is->net;

    if (!net->failed.account_gone || net_begin(net)->flags & IPC_MUST_EXIST)
        return false;
    net->failed = (struct job_problem){0};
    net->account_url[0] = '\0';
    net_leave_out(net,
                  "the CA did not know our account; a new one was created with the same key");
    return net_find_account(net) && new_order(is);
}

bool net_issue(struct net *net)
{
    struct issue *is = calloc(1, sizeof *is);
    bool issued;

    if (!is)
        return net_fail(net, "net.response", "no memory");
    is->net = net;
    issued =
        net_find_account(net) &&
        (resume(is) || (net->failed.type[0] == '\0' && (new_order(is) || order_again(is)))) &&
        net_progress(net, JOB_STATE_ORDERED) &&
        (is->order.status != ACME_PENDING ||
         (net_prove(net, &is->order) && look_at_order(is))) &&
        net_order_finish(is) && download(is);
    if (!issued)
        net_doubt_account(net);
    if (issued && net->dns_missing[0])
        net_leave_out(net, "%s; the CA did see it", net->dns_missing);
    net->done.info = str_from(net->left_out);
    free(is);
    return issued;
}
