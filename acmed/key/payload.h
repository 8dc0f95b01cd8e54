/* What an account's key may sign in one job: exactly the requests of this job, byte for byte.
 * The network helper reads untrusted data, so acmed does not sign whatever it is handed: it
 * builds each text that the job can need itself, and compares. Pure. */
#ifndef ACMED_KEY_PAYLOAD_H
#define ACMED_KEY_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct ipc_begin;
struct ipc_sign;

enum payload_text {
    PAYLOAD_ORDER,          /* newOrder with the job's names and profile */
    PAYLOAD_ORDER_REPLACES, /* the same with `replaces` */
    PAYLOAD_PLAIN,          /* both without the profile, unless it is required */
    PAYLOAD_PLAIN_REPLACES,
    PAYLOAD_FINALIZE,      /* for the CSR that we created */
    PAYLOAD_ACCOUNT,       /* newAccount with the job's contact */
    PAYLOAD_ACCOUNT_BOUND, /* the same with the external account binding that we signed */
    PAYLOAD_BARE,          /* both without the contact, which the CA may refuse */
    PAYLOAD_BARE_BOUND,
    PAYLOAD_CONTACT,     /* account update */
    PAYLOAD_ROLLOVER,    /* the inner JWS that we created */
    PAYLOAD_REVOKE,      /* for the job's certificate */
    PAYLOAD_DEACTIVATED, /* deactivates an authorization; the account only in JOB_CLOSE */
    PAYLOAD_TEXTS
};

struct payloads {
    uint64_t kind; /* enum job_kind */
    bool agree_tos, must_exist;
    char contact[321];
    char *text[PAYLOAD_TEXTS]; /* NULL: not part of this job, or not created yet */
};

/* Built from the message that the network helper received. false: no memory. */
bool payloads_init(struct payloads *, const struct ipc_begin *begin);
void payloads_release(struct payloads *);

/* We created these; they may come back as a payload, or inside one. */
void payloads_made_csr(struct payloads *, const char *csr);
void payloads_made_eab(struct payloads *, const char *jws);
void payloads_made_rollover(struct payloads *, const char *jws);

/* Whether this is one of the job's requests. */
bool payloads_allow(const struct payloads *, const struct ipc_sign *question);

#endif
