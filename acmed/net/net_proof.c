#include "acmed/net/net_proof.h"

#include <stdio.h>
#include <stdlib.h>

#include "acmed/net/acme_request.h"
#include "acmed/net/net_dns01.h"
#include "acmed/net/net_post.h"

enum { REFUSED_LOOKS = 4 }; /* at an authorization, before a refusal is believed */

/* One authorization to be proved. */
struct proof {
    char url[JOB_URL_SIZE], trigger[JOB_URL_SIZE];
    char token[129], name[ACME_IDENTIFIER], target[NET_DNS_TARGET], value[64];
    enum job_challenge kind;
    uint64_t expires_wall_ms;
    bool shown, decided;
    struct acme_problem refused; /* the CA did not want to begin, it says */
};

struct proofs {
    struct net *net;
    const struct acme_order *order;
    struct proof list[JOB_NAMES_MAX];
    size_t n;
};

/* ---- selection */

/* Only dns-01 proves a wildcard, and it never proves an address (RFC 8555 section 8.4, RFC
 * 8738). */
static bool net_proof_proves(enum job_challenge kind, const struct acme_authorization *a)
{
    return kind == JOB_DNS_01 ? !a->ip : !a->wildcard;
}

/* The first of our challenge kinds that the CA offers too. NULL: none. */
static const struct acme_challenge *net_proof_choose(const struct net *net,
                                                     const struct acme_authorization *a)
{
    for (uint64_t kinds = net_begin(net)->challenges; kinds; kinds >>= 4)
        for (size_t i = 0; i < a->n_challenges; i++)
            if (a->challenges[i].kind == (enum job_challenge)(kinds & 15) &&
                a->challenges[i].status != ACME_INVALID &&
                net_proof_proves(a->challenges[i].kind, a))
                return &a->challenges[i];
    return NULL;
}

static bool get_authorization(struct net *net, const char *url, struct acme_authorization *a)
{
    if (!net_post(net, IPC_WITH_KID, url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    return acme_json_authorization(net->reply.body, a) ||
           net_fail(net, "net.response",
                    "the CA's response does not describe an authorization");
}

/* Whether another challenge kind may succeed instead. */
static bool about_proof(const char *type)
{
    static const char *const types[] = {"connection",        "dns",      "tls", "unauthorized",
                                        "incorrectResponse", "malformed"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* Records why the validation failed, in the CA's words. */
static bool not_believed(struct net *net, const struct acme_authorization *a)
{
    for (size_t i = 0; i < a->n_challenges; i++) {
        const struct acme_problem *p = &a->challenges[i].error;

        if (p->type[0] == '\0')
            continue;
        if (a->challenges[i].kind == JOB_DNS_01 && net->dns_missing[0])
            net_fail(net, p->type, "%s; the CA: %s", net->dns_missing, p->detail);
        else
            net_fail(net, p->type, "%s", p->detail);
        net->failed.status = p->status;
        if (about_proof(p->type))
            net->failed.challenge = a->challenges[i].kind;
        break;
    }
    net_fail_by_ended(net, a->status, a->name);
    str_copy(net->failed.name, sizeof net->failed.name, str_from(a->name));
    return net_order_fails(net);
}

/* Adds an authorization to the list, unless it is valid already. */
static bool plan_proof(struct proofs *all, const char *url)
{
    struct net *net = all->net;
    struct proof *p = &all->list[all->n];
    const struct acme_challenge *c;
    struct acme_authorization a;

    if (!get_authorization(net, url, &a))
        return false;
    if (a.status == ACME_VALID)
        return true;
    if (a.status != ACME_PENDING)
        return not_believed(net, &a);
    c = net_proof_choose(net, &a);
    if (!c) {
        net_fail(net, "net.config", "the CA offers none of the configured challenges for %s%s",
                 a.wildcard ? "*." : "", a.name);
        return net_order_fails(net);
    }
    *p = (struct proof){.kind = c->kind, .expires_wall_ms = a.expires_wall_ms};
    str_copy(p->url, sizeof p->url, str_from(url));
    str_copy(p->trigger, sizeof p->trigger,
             c->status == ACME_PENDING ? str_from(c->url) : STR_EMPTY);
    str_copy(p->token, sizeof p->token, str_from(c->token));
    str_copy(p->name, sizeof p->name, str_from(a.name));
    all->n++;
    return true;
}

static struct ipc_challenge as_question(const struct proof *p)
{
    return (struct ipc_challenge){.kind = p->kind,
                                  .token = str_from(p->token),
                                  .name = str_from(p->name),
                                  .target = str_from(p->target)};
}

/* Every load balancer must serve the challenge before the CA is told to look. */
static bool net_proof_show(struct net *net, struct proof *p)
{
    struct ipc_message question = {.type = IPC_PUT};
    struct ipc_reply reply;

    p->shown = true;
    if (p->kind == JOB_DNS_01)
        net_dns_target(net, p->name, p->target);
    question.challenge = as_question(p);
    if (net_ask(net, &question, &reply)) {
        str_copy(p->value, sizeof p->value, reply.bytes);
        return true;
    }
    net_fail(net, "net.refused", "the challenge for %s cannot be published", p->name);
    net->failed.challenge = p->kind;
    /* When the hook fails, the records that it did publish are useful for the next try. */
    return p->kind == JOB_DNS_01 ? false : net_order_fails(net);
}

static void hide(struct net *net, struct proof *p)
{
    struct ipc_message message = {.type = IPC_DROP, .challenge = as_question(p)};

    if (p->shown)
        net_tell(net, &message);
    p->shown = false;
}

/* false: the CA did not begin the validation, for this reason. */
static bool net_proof_refused(struct net *net, const struct proof *p)
{
    net_fail(net, p->refused.type, "%s", p->refused.detail);
    net->failed.status = p->refused.status;
    net->failed.challenge = p->kind;
    str_copy(net->failed.name, sizeof net->failed.name, str_from(p->name));
    return false;
}

static bool trigger(struct net *net, struct proof *p)
{
    if (p->trigger[0] == '\0')
        return true;
    if (!net_post(net, IPC_WITH_KID, p->trigger, "{}", NET_SAFE))
        return false;
    /* Here "malformed" usually means that the challenge was triggered already. The
     * authorization will tell. */
    if (net_succeeded(net))
        return true;
    if (strcmp(net->problem.type, "malformed") == 0) {
        p->refused = net->problem;
        return true;
    }
    net_fail_by_ca(net);
    if (about_proof(net->failed.type))
        net->failed.challenge = p->kind;
    return false;
}

/* It would stay pending until it expires. */
static bool never_began(const struct proof *p, const struct acme_authorization *a)
{
    for (size_t i = 0; i < a->n_challenges; i++)
        if (a->challenges[i].kind == p->kind)
            return p->refused.type[0] && a->challenges[i].status == ACME_PENDING;
    return false;
}

static bool await_proof(struct net *net, struct proof *p)
{
    struct acme_authorization a;

    for (unsigned tries = 0;; tries++) {
        if (!get_authorization(net, p->url, &a))
            return false;
        p->decided = a.status != ACME_PENDING;
        if (a.status == ACME_VALID) {
            net->done.challenge = p->kind;
            return true;
        }
        if (p->decided)
            return not_believed(net, &a);
        if (tries + 1 >= REFUSED_LOOKS && never_began(p, &a))
            return net_proof_refused(net, p);
        if (!net_wait(net, tries, p->expires_wall_ms))
            return net_order_fails(net);
    }
}

/* Pending authorizations count against the CA's limits, so those of a lost order are
 * deactivated. The result does not matter. */
static void give_back(struct net *net, const struct proof *p)
{
    struct job_problem why = net->failed;
    char *payload = acme_request_one("status", "deactivated");

    if (payload && why.order_gone && !p->decided)
        net_post(net, IPC_WITH_KID, p->url, payload, NET_ONCE);
    free(payload);
    net->failed = why;
}

/* Publishes the challenges; the CA is not told yet. */
static bool show_all(struct proofs *all)
{
    struct net_dns_record records[JOB_NAMES_MAX];
    struct net *net = all->net;
    size_t n = 0;

    /* The slow ones first: the table rows of the other kinds expire after a while. */
    for (size_t i = 0; i < all->n; i++) {
        struct proof *p = &all->list[i];

        if (p->kind != JOB_DNS_01)
            continue;
        if (!net_proof_show(net, p))
            return false;
        if (p->trigger[0] && p->value[0])
            records[n++] = (struct net_dns_record){.target = p->target, .value = p->value};
    }
    net_dns_await(net, records, n);
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].kind != JOB_DNS_01 && !net_proof_show(net, &all->list[i]))
            return false;
    return true;
}

static bool prove(struct proofs *all)
{
    struct net *net = all->net;
    bool proved = true;

    for (size_t i = 0; proved && i < all->order->n_authorizations; i++)
        proved = plan_proof(all, all->order->authorizations[i]);
    proved = proved && show_all(all);
    for (size_t i = 0; proved && i < all->n; i++)
        proved = trigger(net, &all->list[i]);
    for (size_t i = 0; proved && i < all->n; i++)
        proved = await_proof(net, &all->list[i]);
    for (size_t i = 0; i < all->n; i++) {
        hide(net, &all->list[i]);
        if (!proved)
            give_back(net, &all->list[i]);
    }
    return proved;
}

bool net_prove(struct net *net, const struct acme_order *order)
{
    struct proofs *all = calloc(1, sizeof *all);
    bool proved;

    if (!all)
        return net_fail(net, "net.response", "no memory");
    all->net = net;
    all->order = order;
    proved = prove(all);
    free(all);
    return proved;
}
