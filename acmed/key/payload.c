#include "acmed/key/payload.h"

#include <stdlib.h>
#include <string.h>

#include "acmed/net/acme_request.h"
#include "acmed/net/ipc.h"
#include "acmed/order/job.h"

enum { PROFILE_SIZE = 65, REPLACES_SIZE = 257 }; /* bytes with NUL, bounded as in net/ipc.c */

static void payload_keep(struct payloads *p, enum payload_text which, char *text)
{
    free(p->text[which]);
    p->text[which] = text;
}

static void keep_orders(struct payloads *p, const struct ipc_begin *begin)
{
    char profile[PROFILE_SIZE], replaces[REPLACES_SIZE];

    str_copy(profile, sizeof profile, begin->profile);
    str_copy(replaces, sizeof replaces, begin->replaces);
    payload_keep(p, PAYLOAD_ORDER, acme_request_new_order(begin->names, profile, ""));
    payload_keep(p, PAYLOAD_ORDER_REPLACES,
                 acme_request_new_order(begin->names, profile, replaces));
    if (begin->flags & IPC_PROFILE_REQUIRED)
        return;
    payload_keep(p, PAYLOAD_PLAIN, acme_request_new_order(begin->names, "", ""));
    payload_keep(p, PAYLOAD_PLAIN_REPLACES, acme_request_new_order(begin->names, "", replaces));
}

static void keep_revocation(struct payloads *p, const struct ipc_begin *begin)
{
    char *der = strndup(begin->certificate.n ? begin->certificate.p : "", begin->certificate.n);

    payload_keep(p, PAYLOAD_REVOKE,
                 der ? acme_request_revoke(der, (unsigned)begin->reason) : NULL);
    free(der);
}

bool payloads_init(struct payloads *p, const struct ipc_begin *begin)
{
    *p = (struct payloads){.kind = begin->kind,
                           .agree_tos = begin->flags & IPC_AGREE_TOS,
                           .must_exist = begin->flags & IPC_MUST_EXIST};
    str_copy(p->contact, sizeof p->contact, begin->contact);
    payload_keep(p, PAYLOAD_ACCOUNT,
                 acme_request_new_account(p->contact, p->agree_tos, p->must_exist, NULL));
    payload_keep(p, PAYLOAD_BARE,
                 acme_request_new_account("", p->agree_tos, p->must_exist, NULL));
    payload_keep(p, PAYLOAD_CONTACT, acme_request_contact(p->contact));
    if (begin->kind == JOB_ISSUE)
        keep_orders(p, begin);
    if (begin->kind == JOB_REVOKE)
        keep_revocation(p, begin);
    if (begin->kind == JOB_ISSUE || begin->kind == JOB_CLOSE)
        payload_keep(p, PAYLOAD_DEACTIVATED, acme_request_one("status", "deactivated"));
    return p->text[PAYLOAD_ACCOUNT] && p->text[PAYLOAD_CONTACT];
}

void payloads_release(struct payloads *p)
{
    for (int i = 0; i < PAYLOAD_TEXTS; i++)
        free(p->text[i]);
    *p = (struct payloads){0};
}

void payloads_made_csr(struct payloads *p, const char *csr)
{
    if (p->kind == JOB_ISSUE && csr)
        payload_keep(p, PAYLOAD_FINALIZE, acme_request_one("csr", csr));
}

void payloads_made_eab(struct payloads *p, const char *jws)
{
    if (!jws)
        return;
    payload_keep(p, PAYLOAD_ACCOUNT_BOUND,
                 acme_request_new_account(p->contact, p->agree_tos, p->must_exist, jws));
    payload_keep(p, PAYLOAD_BARE_BOUND,
                 acme_request_new_account("", p->agree_tos, p->must_exist, jws));
}

void payloads_made_rollover(struct payloads *p, const char *jws)
{
    if (p->kind == JOB_ROLLOVER && jws)
        payload_keep(p, PAYLOAD_ROLLOVER, strdup(jws));
}

static bool is(const struct payloads *p, enum payload_text which, struct str payload)
{
    return p->text[which] && str_eq(str_from(p->text[which]), payload);
}

/* Signed with the account's URL as kid. */
static bool by_account(const struct payloads *p, const struct ipc_sign *q)
{
    static const enum payload_text any[] = {
        PAYLOAD_ORDER,    PAYLOAD_ORDER_REPLACES, PAYLOAD_PLAIN,    PAYLOAD_PLAIN_REPLACES,
        PAYLOAD_FINALIZE, PAYLOAD_CONTACT,        PAYLOAD_ROLLOVER, PAYLOAD_REVOKE};

    /* POST-as-GET, and the trigger of a challenge. */
    if (q->payload.n == 0 || str_eq(q->payload, STR("{}")))
        return true;
    for (size_t i = 0; i < sizeof any / sizeof *any; i++)
        if (is(p, any[i], q->payload))
            return true;
    /* The same payload deactivates an authorization or, permanently, the account. */
    return is(p, PAYLOAD_DEACTIVATED, q->payload) &&
           str_eq(q->url, q->kid) == (p->kind == JOB_CLOSE);
}

bool payloads_allow(const struct payloads *p, const struct ipc_sign *q)
{
    switch ((enum ipc_how)q->how) {
    case IPC_WITH_JWK:
        return is(p, PAYLOAD_ACCOUNT, q->payload) || is(p, PAYLOAD_ACCOUNT_BOUND, q->payload) ||
               is(p, PAYLOAD_BARE, q->payload) || is(p, PAYLOAD_BARE_BOUND, q->payload);
    case IPC_WITH_KID:
        return by_account(p, q);
    case IPC_WITH_CERTIFICATE:
        return is(p, PAYLOAD_REVOKE, q->payload);
    case IPC_EAB: /* we build its payload */
        return true;
    case IPC_ROLLOVER:
        return p->kind == JOB_ROLLOVER;
    default:
        return false;
    }
}
