#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "acmed/net_internal.h"

enum {
    FINALIZE_MAX = 5, /* orderNotReady: the CA's halves do not agree yet */
};

/* One authorization that is to be proved. */
struct proof {
    char url[JOB_URL_SIZE], trigger[JOB_URL_SIZE];
    char token[129], name[ACME_IDENTIFIER];
    enum job_challenge kind;
    uint64_t expires_wall_ms;
    bool shown, decided;
};

struct issue {
    struct net *net;
    struct acme_order order;
    struct proof proofs[JOB_NAMES_MAX];
    size_t n_proofs;
};

static bool order_fails(struct net *net)
{
    net->failed.order_gone = true;
    return false;
}

/* ---- the order */

/* The names of the order are those of the job, all and no other. */
static bool same_names(const struct issue *is)
{
    struct str names = net_begin(is->net)->names;
    size_t n = 0;

    while (names.n) {
        size_t end = str_index(names, '\n');
        struct str name = str_head(names, end);
        bool found = false;

        for (size_t i = 0; !found && i < is->order.n_identifiers; i++)
            found = ask_same_name(name, str_from(is->order.identifiers[i]));
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
           net_fail(net, "net.answer", "the CA describes no order (status %u)",
                    net->reply.status);
}

static bool look_at_order(struct issue *is)
{
    struct net *net = is->net;

    if (!net_post(net, ASK_WITH_KID, net->order_url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net)) {
        net_fail_by_ca(net);
        if (net->reply.status >= 400 && net->reply.status < 500 && net->reply.status != 429)
            return order_fails(net);
        return false;
    }
    return take_order(is);
}

/* true: the order of an earlier try can be gone on with. */
static bool resume(struct issue *is)
{
    struct net *net = is->net;

    if (net_begin(net)->order_url.n == 0)
        return false;
    str_copy(net->order_url, sizeof net->order_url, net_begin(net)->order_url);
    if (look_at_order(is) && is->order.status != ACME_INVALID && same_names(is))
        return true;
    net->order_url[0] = '\0';
    /* Another order is the way on, but not when the CA cannot be reached at all. */
    if (net->failed.type[0] == '\0' || net->failed.order_gone)
        net->failed = (struct job_problem){0};
    return false;
}

static bool post_order(struct net *net, bool replaces)
{
    char profile[65], id[257], *payload;
    bool sent;

    str_copy(profile, sizeof profile, net_begin(net)->profile);
    str_copy(id, sizeof id, net_begin(net)->replaces);
    payload = acme_json_new_order(net_begin(net)->names, profile, replaces ? id : "");
    sent = payload && net_post(net, ASK_WITH_KID, net->directory.new_order, payload, NET_ONCE);
    free(payload);
    return sent;
}

static bool new_order(struct issue *is)
{
    struct net *net = is->net;
    bool replaces = net_begin(net)->replaces.n && net->directory.renewal_info[0];

    if (!net_progress(net, JOB_STATE_ACCOUNT) || !post_order(net, replaces))
        return false;
    if (replaces && net->reply.status == 409) /* alreadyReplaced (RFC 9773 section 5) */
        if (!post_order(net, false))
            return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    if (net->reply.location[0] == '\0')
        return net_fail(net, "net.answer", "the CA does not say where the order stands");
    str_copy(net->order_url, sizeof net->order_url, str_from(net->reply.location));
    return take_order(is);
}

static bool fits_profile(struct net *net)
{
    char profile[65];

    str_copy(profile, sizeof profile, net_begin(net)->profile);
    if (profile[0] == '\0' || acme_has_profile(&net->directory, profile))
        return true;
    if (!net->directory.has_profiles)
        return net_fail(net, "invalidProfile",
                        "this CA has no profiles: take out profile = "
                        "\"%s\"",
                        profile);
    return net_fail(net, "invalidProfile", "this CA has no profile \"%s\"; it has %.300s",
                    profile, net->directory.profiles);
}

/* ---- proofs */

/* A wildcard is proved by dns-01 only, an address never (RFC 8555 section 8.4, RFC 8738). */
static bool proves(enum job_challenge kind, const struct acme_authorization *a)
{
    return kind == JOB_DNS_01 ? !a->ip : !a->wildcard;
}

/* The first of our kinds that the CA offers too. NULL: none. */
static const struct acme_challenge *choose(const struct net *net,
                                           const struct acme_authorization *a)
{
    for (uint64_t kinds = net_begin(net)->challenges; kinds; kinds >>= 4)
        for (size_t i = 0; i < a->n_challenges; i++)
            if (a->challenges[i].kind == (enum job_challenge)(kinds & 15) &&
                a->challenges[i].status != ACME_INVALID && proves(a->challenges[i].kind, a))
                return &a->challenges[i];
    return NULL;
}

static bool get_authorization(struct net *net, const char *url, struct acme_authorization *a)
{
    if (!net_post(net, ASK_WITH_KID, url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    return acme_json_authorization(net->reply.body, a) ||
           net_fail(net, "net.answer", "the CA describes no authorization");
}

/* Whether another kind of challenge may do better. */
static bool about_proof(const char *type)
{
    static const char *const types[] = {"connection",        "dns",      "tls", "unauthorized",
                                        "incorrectResponse", "malformed"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* Why the CA does not believe us, in its words. */
static bool not_believed(struct net *net, const struct acme_authorization *a)
{
    for (size_t i = 0; i < a->n_challenges; i++) {
        const struct acme_problem *p = &a->challenges[i].error;

        if (p->type[0] == '\0')
            continue;
        net_fail(net, p->type, "%s", p->detail);
        net->failed.status = p->status;
        if (about_proof(p->type))
            net->failed.challenge = a->challenges[i].kind;
        break;
    }
    net_fail(net, "unauthorized", "the authorization is no longer pending, nor valid");
    str_copy(net->failed.name, sizeof net->failed.name, str_from(a->name));
    return order_fails(net);
}

/* Notes what is to be proved of one authorization: nothing, if it is valid already. */
static bool plan_proof(struct issue *is, const char *url)
{
    struct net *net = is->net;
    struct proof *p = &is->proofs[is->n_proofs];
    const struct acme_challenge *c;
    struct acme_authorization a;

    if (!get_authorization(net, url, &a))
        return false;
    if (a.status == ACME_VALID)
        return true;
    if (a.status != ACME_PENDING)
        return not_believed(net, &a);
    c = choose(net, &a);
    if (!c) {
        net_fail(net, "net.config", "the CA offers no kind of challenge that is set for %s%s",
                 a.wildcard ? "*." : "", a.name);
        return order_fails(net);
    }
    *p = (struct proof){.kind = c->kind, .expires_wall_ms = a.expires_wall_ms};
    str_copy(p->url, sizeof p->url, str_from(url));
    str_copy(p->trigger, sizeof p->trigger,
             c->status == ACME_PENDING ? str_from(c->url) : STR_EMPTY);
    str_copy(p->token, sizeof p->token, str_from(c->token));
    str_copy(p->name, sizeof p->name, str_from(a.name));
    is->n_proofs++;
    return true;
}

static struct ask_challenge as_question(const struct proof *p)
{
    return (struct ask_challenge){
        .kind = p->kind, .token = str_from(p->token), .name = str_from(p->name)};
}

/* Every balancer answers before the CA is told to look (ACME.md 1.10). */
static bool show(struct net *net, struct proof *p)
{
    struct ask question = {.type = ASK_PUT, .challenge = as_question(p)};
    struct ask_answer answer;

    p->shown = true;
    if (net_ask(net, &question, &answer))
        return true;
    net_fail(net, "net.refused", "the challenge for %s cannot be shown", p->name);
    net->failed.challenge = p->kind;
    return order_fails(net);
}

static void hide(struct net *net, struct proof *p)
{
    struct ask message = {.type = ASK_DROP, .challenge = as_question(p)};

    if (p->shown)
        net_tell(net, &message);
    p->shown = false;
}

static bool trigger(struct net *net, const struct proof *p)
{
    if (p->trigger[0] == '\0')
        return true;
    if (!net_post(net, ASK_WITH_KID, p->trigger, "{}", NET_SAFE))
        return false;
    /* "malformed" here means most often that it was triggered already: the authorization tells.
     */
    if (net_succeeded(net) || strcmp(net->problem.type, "malformed") == 0)
        return true;
    net_fail_by_ca(net);
    if (about_proof(net->failed.type))
        net->failed.challenge = p->kind;
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
        if (!net_wait(net, tries, p->expires_wall_ms))
            return order_fails(net);
    }
}

/* Pending authorizations count against limits of the CA: those of a lost order are given
 * back. It is a courtesy, so how it goes does not matter. */
static void give_back(struct net *net, const struct proof *p)
{
    struct job_problem why = net->failed;
    char *payload = acme_json_one("status", "deactivated");

    if (payload && why.order_gone && !p->decided)
        net_post(net, ASK_WITH_KID, p->url, payload, NET_ONCE);
    free(payload);
    net->failed = why;
}

static bool prove(struct issue *is)
{
    struct net *net = is->net;
    bool proved = true;

    for (size_t i = 0; proved && i < is->order.n_authorizations; i++)
        proved = plan_proof(is, is->order.authorizations[i]);
    for (size_t i = 0; proved && i < is->n_proofs; i++)
        proved = show(net, &is->proofs[i]);
    for (size_t i = 0; proved && i < is->n_proofs; i++)
        proved = trigger(net, &is->proofs[i]);
    for (size_t i = 0; proved && i < is->n_proofs; i++)
        proved = await_proof(net, &is->proofs[i]);
    for (size_t i = 0; i < is->n_proofs; i++) {
        hide(net, &is->proofs[i]);
        if (!proved)
            give_back(net, &is->proofs[i]);
    }
    return proved;
}

/* ---- the certificate */

/* true: the CA has taken the CSR, or says that the order is not ready yet. */
static bool post_csr(struct net *net, const char *url)
{
    struct ask question = {.type = ASK_CSR};
    struct ask_answer answer;
    char *csr, *payload;
    bool sent;

    if (!net_ask(net, &question, &answer))
        return net_fail(net, "net.config", "there is no key for the certificate");
    csr = strndup(answer.bytes.p, answer.bytes.n);
    payload = csr ? acme_json_one("csr", csr) : NULL;
    sent = payload && net_post(net, ASK_WITH_KID, url, payload, NET_ONCE);
    free(payload);
    free(csr);
    if (!sent && strcmp(net->failed.type, "net.connect") == 0) {
        net->failed = (struct job_problem){0}; /* reply lost: the order tells how it stands */
        return true;
    }
    return sent && (net_succeeded(net) || strcmp(net->problem.type, "orderNotReady") == 0 ||
                    net->reply.status >= 500 || net_fail_by_ca(net));
}

/* Finalizes; what the CA answers is how the order stands now. */
static bool hand_in(struct issue *is)
{
    struct net *net = is->net;

    if (!post_csr(net, is->order.finalize))
        return false;
    if (!net_succeeded(net))
        return true;
    return take_order(is) && net_progress(net, JOB_STATE_FINALIZED);
}

/* Walks the order from wherever it stands to valid. */
static bool finish(struct issue *is)
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
                return net_fail(net, "net.answer", "the CA never takes the CSR");
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
            net_fail(net, "net.answer", "the CA gave the order up");
            return order_fails(net);
        }
        if (!net_wait(net, tries++, is->order.expires_wall_ms))
            return order_fails(net);
        if (!look_at_order(is))
            return false;
    }
}

/* Downloads one chain and shows it to acmed. */
static bool show_chain(struct net *net, const char *url, uint64_t *verdict)
{
    struct ask question = {.type = ASK_CHAIN};
    struct ask_answer answer;

    if (!net_post(net, ASK_WITH_KID, url, "", NET_SAFE))
        return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    if (net->reply.body.n > JOB_CHAIN_MAX)
        return net_fail(net, "net.chain", "the chain is larger than %d KiB",
                        JOB_CHAIN_MAX / 1024);
    question.chain.pem = net->reply.body;
    if (net_ask(net, &question, &answer)) {
        *verdict = answer.number;
        return true;
    }
    return net_fail(net, "net.chain", "%.*s", STR_ARG(answer.bytes));
}

static bool download(struct issue *is)
{
    struct net *net = is->net;
    char alternates[TRANSPORT_ALTERNATES][JOB_URL_SIZE];
    uint64_t verdict = ASK_CHAIN_BAD;
    size_t n;

    if (!show_chain(net, is->order.certificate, &verdict))
        return strcmp(net->failed.type, "net.chain") == 0 ? order_fails(net) : false;
    n = net->reply.n_alternates;
    memcpy(alternates, net->reply.alternates, sizeof alternates);
    for (size_t i = 0; verdict != ASK_CHAIN_PREFERRED && i < n; i++)
        if (!show_chain(net, alternates[i], &verdict))
            net->failed = (struct job_problem){0}; /* the first one will do */
    return true;
}

bool net_issue(struct net *net)
{
    struct issue *is = calloc(1, sizeof *is);
    bool issued;

    if (!is)
        return net_fail(net, "net.answer", "no memory");
    is->net = net;
    issued = fits_profile(net) && net_find_account(net) &&
             (resume(is) || (net->failed.type[0] == '\0' && new_order(is))) &&
             net_progress(net, JOB_STATE_ORDERED) &&
             (is->order.status != ACME_PENDING || (prove(is) && look_at_order(is))) &&
             finish(is) && download(is);
    free(is);
    return issued;
}
