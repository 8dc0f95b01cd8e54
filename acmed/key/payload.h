/* What an account's key signs in one job: the requests that this job has, to the byte. The
 * network half reads what strangers send, so acmed does not sign what it is handed: it makes
 * each text that the job can need by itself and compares. Pure. */
#ifndef ACMED_KEY_PAYLOAD_H
#define ACMED_KEY_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct ipc_begin;
struct ipc_sign;

enum payload_text {
    PAYLOAD_ORDER,          /* newOrder of the job's names and profile */
    PAYLOAD_ORDER_REPLACES, /* the same, with what it replaces */
    PAYLOAD_PLAIN,          /* both without the profile, unless that is required */
    PAYLOAD_PLAIN_REPLACES,
    PAYLOAD_FINALIZE,      /* of the CSR that we made */
    PAYLOAD_ACCOUNT,       /* newAccount of the job's contact */
    PAYLOAD_ACCOUNT_BOUND, /* the same with the external account, as we signed that */
    PAYLOAD_BARE,          /* both without the contact, which the CA may refuse */
    PAYLOAD_BARE_BOUND,
    PAYLOAD_CONTACT,     /* update of the account */
    PAYLOAD_ROLLOVER,    /* the inner JWS that we made */
    PAYLOAD_REVOKE,      /* of the job's certificate */
    PAYLOAD_DEACTIVATED, /* an authorization; the account only where that is the job */
    PAYLOAD_TEXTS
};

struct payloads {
    uint64_t kind; /* enum job_kind */
    bool agree_tos, must_exist;
    char contact[321];
    char *text[PAYLOAD_TEXTS]; /* NULL: not in this job, or not yet */
};

/* From what the network half was told. false: no memory. */
bool payloads_init(struct payloads *, const struct ipc_begin *begin);
void payloads_release(struct payloads *);

/* These were made, and may come back as a payload, or in one. */
void payloads_made_csr(struct payloads *, const char *csr);
void payloads_made_eab(struct payloads *, const char *jws);
void payloads_made_rollover(struct payloads *, const char *jws);

/* Whether this is a request of this job. */
bool payloads_allow(const struct payloads *, const struct ipc_sign *question);

#endif
