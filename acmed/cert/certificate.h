/* Keeping one certificate: from the configuration, the store and the files to
 * its row of the table. acmed only; no OpenSSL here. */
#ifndef ACMED_CERT_CERTIFICATE_H
#define ACMED_CERT_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/ari.h"
#include "acmed/cert/import.h"
#include "acmed/cert/pem.h"
#include "acmed/cert/store.h"
#include "acmed/helper/hook.h"
#include "acmed/net/proof.h"
#include "acmed/order/account_op.h"
#include "acmed/order/issue.h"
#include "shm/heritage.h"
#include "shm/message.h"

struct conf_cert;

enum {
    CERTIFICATE_POLL_MS = 2000,          /* between two looks at configured files */
    CERTIFICATE_RETRY_MS = 10000,        /* after trouble with the store */
    CERTIFICATE_ANSWER_MS = 5000,        /* the supervisor's longest silence */
    CERTIFICATE_AGAIN_MS = 100,          /* when a message could not be sent */
    CERTIFICATE_RENEWAL_MS = 60 * 60000, /* between two looks at the end of a certificate */
    CERTIFICATE_HOOK_MS = 60000,         /* between two looks whether the hook is there */
    CERTIFICATE_EXPIRING_MS =
        24 * 60 * 60000, /* between two calls about files near their end */
};

/* Why another generation is to go live. */
enum certificate_cause {
    CERTIFICATE_SELF,
    CERTIFICATE_FILES,
    CERTIFICATE_CA,
    CERTIFICATE_ROLLBACK
};

/* The one that is being proved (acmed/cert/deploy.h). */
struct certificate_next {
    struct proof proof; /* .candidate 0: none */
    enum certificate_cause cause;
    enum cert_source source;
    struct pem_info info;
    uint8_t digest[PEM_DIGEST];
    char ari_id[ARI_ID_SIZE];
    uint64_t revoked_wall_ms;   /* 0: it is not */
    char warning[TABLE_REASON]; /* what was found, and is no reason against it */
    uint64_t retry_ms;          /* it is proved, but the store did not take that; 0: not so */
};

struct certificate {
    const struct heritage *heritage;
    const struct conf_cert *conf;
    const struct certificate *dual; /* of the same names (struct conf_cert); NULL: none */
    struct store *store;            /* shared by all; opened when it can be */
    struct cert_row row;            /* what was published last */
    uint8_t digest[PEM_DIGEST];     /* of the live pair */
    struct certificate_next next;
    uint32_t highest; /* generation that was ever written, as far as we know */
    bool renewed;     /* the one that went live last replaced another of the same source */
    struct import import;
    bool adopts;     /* nothing is live: what stands under another name is looked for */
    bool settled;    /* live, or nothing more can be done for now: READY may be said */
    bool complained; /* the last round found a bad pair, which may be one half replaced */
    uint64_t due_ms; /* of the next thing to do */

    struct issue issue;
    struct account_op errand; /* what the operator wants of the CA */
    enum cert_request queued; /* of these, what waits for a place; 0: none */
    uint64_t queued_until_ms;
    uint32_t revoked_epoch;   /* of what was revoked when that was looked at last */
    bool lost;                /* it is in the workers' memory only: the store was deleted */
    bool covers;              /* the live one is for all names, with the right kind of key */
    char ari_id[ARI_ID_SIZE]; /* of the live one, when a CA made it */
    const char *not_ordered;  /* why, by the policy; NULL: it is, or is not meant to be */
    /* What is missing in the live one's chain; "": nothing. */
    char incomplete[TABLE_REASON];
    char unusable[TABLE_NOTE]; /* why the store cannot be used; "" */
    char account[TABLE_NOTE];  /* why that at the CA is of no use; "" */
    char clock[TABLE_NOTE];    /* what is wrong with the clock; "" */
    struct hook hook;
    char told[16];                   /* the event that it was last called for */
    char hook_failed[TABLE_REASON];  /* at what it was last called for, and why; "" */
    char hook_missing[TABLE_REASON]; /* why it cannot be called at all; "" */
    uint64_t hook_look_ms;           /* next look whether it can */
    const char *event;               /* to tell the hook when it is free; NULL: none */
    uint64_t expiring_ms; /* when it was told last that files are near their end; 0: never */
    uint64_t self_ms;     /* no self-signed one before: the last one was no good; 0: at once */
};

/* Publishes the newest good generation of the store. before: the row that a
 * predecessor left for this name, which tells what the workers have loaded;
 * NULL: none. release closes files. */
void certificate_init(struct certificate *keeper, const struct heritage *heritage,
                      struct store *store, struct ca_set *issuer, const struct conf_cert *conf,
                      const struct cert_row *before, uint64_t now_ms);
void certificate_release(struct certificate *keeper);

/* The store is ours only now: all that stands in it is looked at anew (trouble NULL). Or it is
 * not, for this reason: what another service makes live there is served here too. */
void certificate_store(struct certificate *keeper, const char *trouble, uint64_t now_ms);

/* Looks whether the store can be used (trouble: why it cannot, as is known already; "": it is
 * not) and whether what is live still stands in it; if not, it is served on, and another one is
 * made, read again or ordered. */
void certificate_look_at_store(struct certificate *keeper, const char *trouble,
                               uint64_t now_ms);

/* Does what is due; sets due_ms anew. */
void certificate_tick(struct certificate *keeper, uint64_t now_ms);

/* A PEM message of the supervisor that names this certificate. Takes *fd or
 * leaves it. */
void certificate_reply(struct certificate *keeper, const struct message *reply, int *fd,
                       uint64_t now_ms);

/* What the operator asks; the answer is in the row. reason: of CERT_REVOKE
 * (order/account_op.h). */
void certificate_request(struct certificate *keeper, enum cert_request request, unsigned reason,
                         uint64_t now_ms);

/* ---- for the parts of cert/certificate.c in files of their own */

struct issue_live certificate_live(const struct certificate *keeper);
void certificate_tick_issue(struct certificate *keeper, uint64_t now_ms);

#endif
