#include "acmed/net/net_account.h"

#include <stdlib.h>

#include "acmed/net/acme_request.h"
#include "acmed/net/net_post.h"

/* Checks what would certainly fail, and says what to change. */
static bool may_register(struct net *net)
{
    const struct ipc_begin *b = net_begin(net);

    if (b->flags & IPC_MUST_EXIST)
        return true;
    if (net->directory.external_account_required && b->eab_kid.n == 0)
        return net_fail(net, "net.config",
                        "this CA requires external account binding: write acme.eab = { kid = "
                        "...; hmac_key = ...; }; with the values that the CA gave you");
    if (net->directory.terms[0] && !(b->flags & IPC_AGREE_TOS))
        return net_fail(net, "net.config",
                        "read the CA's terms of service at %s and set agree_tos = true",
                        net->directory.terms);
    return true;
}

/* The inner JWS for an external account, on the heap. NULL: failed. */
static char *bind_external(struct net *net)
{
    struct ipc_message question = {.type = IPC_SIGN,
                                   .sign = {.how = IPC_EAB,
                                            .url = str_from(net->directory.new_account),
                                            .kid = net_begin(net)->eab_kid}};
    struct ipc_reply reply;

    if (net_ask(net, &question, &reply))
        return strndup(reply.bytes.p, reply.bytes.n);
    net_fail(
        net, "net.config",
        "acme.eab.hmac_key is not a base64url key: copy it again exactly as the CA gave it");
    return NULL;
}

static bool post_account(struct net *net, const char *contact, const char *eab)
{
    const struct ipc_begin *b = net_begin(net);
    char *payload = acme_request_new_account(contact, b->flags & IPC_AGREE_TOS,
                                             b->flags & IPC_MUST_EXIST, eab);
    bool sent =
        payload && net_post(net, IPC_WITH_JWK, net->directory.new_account, payload, NET_SAFE);

    free(payload);
    return sent;
}

/* The CA knows the account but accepts nothing from it (RFC 8555 section 7.3.6). Always
 * false. */
static bool account_is_closed(struct net *net, const char *says)
{
    net_fail(net, "net.config",
             "the account is closed at the CA (%.200s): `pasgate cert deactivate --force` "
             "forgets it here, and the next order creates a new one",
             says);
    net->failed.account_closed = true;
    return false;
}

/* Whether the last response says so. With an external account, its key may be what is refused
 * instead. */
static bool says_closed(const struct net *net)
{
    return !net_succeeded(net) && strcmp(net->problem.type, "unauthorized") == 0 &&
           net->problem.name[0] == '\0';
}

/* Registers, without the contact if the CA refuses it. false: no response. */
static bool post_with_options(struct net *net, const char *eab)
{
    char contact[321];
    struct options with = {0};
    struct options_refusal refusal;

    str_copy(contact, sizeof contact, net_begin(net)->contact);
    with.carries[OPTIONS_CONTACT] = contact[0] != '\0';
    for (;;) {
        if (!post_account(net, with.carries[OPTIONS_CONTACT] ? contact : "", eab))
            return false;
        refusal = net_refusal(net);
        if (net_succeeded(net) || options_leave_out(&with, &refusal) != OPTIONS_CONTACT)
            return true;
        net_leave_out(net, "the CA refused the email address %.60s: the account has none (%s)",
                      contact, net->problem.detail);
    }
}

static bool register_account(struct net *net)
{
    const struct ipc_begin *b = net_begin(net);
    char *eab = NULL;
    enum acme_status status;
    bool sent;

    if (!may_register(net))
        return false;
    if (b->eab_kid.n && !(b->flags & IPC_MUST_EXIST) && !(eab = bind_external(net)))
        return false;
    sent = post_with_options(net, eab);
    free(eab);
    if (!sent)
        return false;
    if (says_closed(net) && !b->eab_kid.n)
        return account_is_closed(net, net->problem.detail);
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    if (!acme_json_account(net->reply.body, &status) || net->reply.location[0] == '\0')
        return net_fail(net, "net.response", "the CA's response does not describe an account");
    if (status != ACME_VALID)
        return account_is_closed(net, "its status is not \"valid\"");
    str_copy(net->account_url, sizeof net->account_url, str_from(net->reply.location));
    return true;
}

void net_doubt_account(struct net *net)
{
    const struct job_problem failed = net->failed;
    enum acme_status status = ACME_VALID;
    bool sent;

    if (strcmp(failed.type, "unauthorized") != 0 || failed.name[0] || !net->account_url[0])
        return;
    net->failed = (struct job_problem){0};
    sent = net_post(net, IPC_WITH_KID, net->account_url, "", NET_SAFE);
    net->failed = failed;
    if (!sent || (net_succeeded(net) && acme_json_account(net->reply.body, &status) &&
                  status == ACME_VALID))
        return;
    if (!net_succeeded(net) && !says_closed(net))
        return;
    net->failed = (struct job_problem){0};
    account_is_closed(net, failed.detail);
}

bool net_find_account(struct net *net)
{
    return net->account_url[0] || register_account(net);
}

/* POSTs to a URL of the directory or the account, where any success will do. */
static bool post_simply(struct net *net, enum ipc_how how, const char *url, char *payload,
                        const char *what)
{
    bool sent;

    if (url[0] == '\0') {
        free(payload);
        return net_fail(net, "net.config", "this CA does not offer %s", what);
    }
    sent = payload && net_post(net, how, url, payload, NET_SAFE);
    free(payload);
    if (sent && url == net->account_url && says_closed(net))
        return account_is_closed(net, net->problem.detail);
    return sent && (net_succeeded(net) || net_fail_by_ca(net));
}

bool net_account(struct net *net)
{
    bool known = net->account_url[0];
    char contact[321];

    str_copy(contact, sizeof contact, net_begin(net)->contact);
    if (!net_find_account(net))
        return false;
    /* 200 instead of 201: the account existed already, maybe with another contact. */
    if ((known || net->reply.status == 200) && !(net_begin(net)->flags & IPC_MUST_EXIST) &&
        !post_simply(net, IPC_WITH_KID, net->account_url, acme_request_contact(contact),
                     "account"))
        return false;
    return net_progress(net, JOB_STATE_ACCOUNT);
}

bool net_rollover(struct net *net)
{
    struct ipc_message question = {.type = IPC_SIGN, .sign = {.how = IPC_ROLLOVER}};
    struct ipc_reply reply;

    if (!net_find_account(net))
        return false;
    question.sign.url = str_from(net->directory.key_change);
    question.sign.kid = str_from(net->account_url);
    if (!net_ask(net, &question, &reply))
        return net_fail(net, "net.config",
                        "there is no new key, or the CA does not support changing it");
    return post_simply(net, IPC_WITH_KID, net->directory.key_change,
                       strndup(reply.bytes.p, reply.bytes.n), "key rollover");
}

bool net_close_account(struct net *net)
{
    return net_find_account(net) &&
           post_simply(net, IPC_WITH_KID, net->account_url,
                       acme_request_one("status", "deactivated"), "account");
}

bool net_revoke(struct net *net)
{
    const struct ipc_begin *b = net_begin(net);
    char *der = strndup(b->certificate.p ? b->certificate.p : "", b->certificate.n);
    char *payload = der ? acme_request_revoke(der, (unsigned)b->reason) : NULL;
    enum ipc_how how = net->account_url[0] ? IPC_WITH_KID : IPC_WITH_CERTIFICATE;
    bool revoked;

    free(der);
    revoked = post_simply(net, how, net->directory.revoke_cert, payload, "revocation");
    if (!revoked && strcmp(net->failed.type, "alreadyRevoked") == 0)
        return true;
    return revoked;
}

bool net_renewal_info(struct net *net)
{
    char url[2 * JOB_URL_SIZE];
    struct acme_renewal renewal;
    size_t n = strlen(net->directory.renewal_info);

    if (n == 0)
        return net_fail(net, "net.config", "this CA does not offer renewal information");
    str_copy(url, sizeof url, str_from(net->directory.renewal_info));
    str_copy(url + n, sizeof url - n, STR("/"));
    str_copy(url + n + 1, sizeof url - n - 1, net_begin(net)->renewal_id);
    if (!net_get(net, url))
        return false;
    if (!net_succeeded(net))
        return net_fail_by_ca(net);
    net->done.retry_after_s = net->reply.has_retry_after ? net->reply.retry_after_s : 0;
    net->done.info = str_head(net->reply.body, 16 * 1024);
    if (acme_json_renewal(net->reply.body, &renewal)) {
        static char explanation[JOB_URL_SIZE];

        net->done.window_start_wall_ms = renewal.start_wall_ms;
        net->done.window_end_wall_ms = renewal.end_wall_ms;
        net->done.explanation =
            str_from(str_copy(explanation, sizeof explanation, str_from(renewal.explanation)));
    }
    return true;
}
