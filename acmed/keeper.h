/* Keeping one certificate: from the configuration, the store and the files to
 * its row of the table. acmed only; no OpenSSL here. */
#ifndef ACMED_KEEPER_H
#define ACMED_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/ari.h"
#include "acmed/errand.h"
#include "acmed/hook.h"
#include "acmed/import.h"
#include "acmed/issue.h"
#include "acmed/pem.h"
#include "acmed/proof.h"
#include "acmed/store.h"
#include "shm/heritage.h"
#include "shm/message.h"

struct conf_cert;

enum {
    KEEPER_POLL_MS = 2000,                /* between two looks at configured files */
    KEEPER_RETRY_MS = 10000,              /* after trouble with the store */
    KEEPER_ANSWER_MS = 5000,              /* the supervisor's longest silence */
    KEEPER_AGAIN_MS = 100,                /* when a message could not be sent */
    KEEPER_RENEWAL_MS = 60 * 60000,       /* between two looks at the end of a certificate */
    KEEPER_EXPIRING_MS = 24 * 60 * 60000, /* between two calls about files near their end */
};

/* Why another generation is to go live. */
enum keeper_cause { KEEPER_SELF, KEEPER_FILES, KEEPER_CA, KEEPER_ROLLBACK };

/* The one that is being proved (acmed/live.h). */
struct keeper_next {
    struct proof proof; /* .candidate 0: none */
    enum keeper_cause cause;
    enum cert_source source;
    struct pem_info info;
    uint8_t digest[PEM_DIGEST];
    char ari_id[ARI_ID_SIZE];
    char warning[TABLE_REASON]; /* what was found, and is no reason against it */
    uint64_t retry_ms;          /* it is proved, but the store did not take that; 0: not so */
};

struct keeper {
    const struct heritage *heritage;
    const struct conf_cert *conf;
    struct store *store;        /* shared by all; opened when it can be */
    struct cert_row row;        /* what was published last */
    uint8_t digest[PEM_DIGEST]; /* of the live pair */
    struct keeper_next next;
    uint32_t highest; /* generation that was ever written, as far as we know */
    bool renewed;     /* the one that went live last replaced another of the same source */
    struct import import;
    bool settled;    /* live, or nothing more can be done for now: READY may be said */
    bool complained; /* the last round found a bad pair, which may be one half replaced */
    uint64_t due_ms; /* of the next thing to do */

    struct issue issue;
    struct errand errand;     /* what the operator wants of the CA */
    enum cert_request queued; /* of these, what waits for a place; 0: none */
    uint64_t queued_until_ms;
    bool revoked;             /* the live one is: it has to be replaced */
    bool covers;              /* the live one is for all names */
    char ari_id[ARI_ID_SIZE]; /* of the live one, when a CA made it */
    struct hook hook;
    const char *event;    /* to tell the hook when it is free; NULL: none */
    uint64_t expiring_ms; /* when it was told last that files are near their end; 0: never */
    uint64_t self_ms;     /* no self-signed one before: the last one was no good; 0: at once */
};

/* Publishes the newest good generation of the store. before: the row that a
 * predecessor left for this name, which tells what the workers have loaded;
 * NULL: none. release closes files. */
void keeper_init(struct keeper *keeper, const struct heritage *heritage, struct store *store,
                 struct issuer *issuer, const struct conf_cert *conf,
                 const struct cert_row *before, uint64_t now_ms);
void keeper_release(struct keeper *keeper);

/* The store is ours only now: all that stands in it is looked at anew (trouble NULL). Or it is
 * not, for this reason: what another service makes live there is served here too. */
void keeper_store(struct keeper *keeper, const char *trouble, uint64_t now_ms);

/* Does what is due; sets due_ms anew. */
void keeper_tick(struct keeper *keeper, uint64_t now_ms);

/* A PEM message of the supervisor that names this certificate. Takes *fd or
 * leaves it. */
void keeper_answer(struct keeper *keeper, const struct message *answer, int *fd,
                   uint64_t now_ms);

/* What the operator asks; the answer is in the row. reason: of CERT_REVOKE (errand.h). */
void keeper_request(struct keeper *keeper, enum cert_request request, unsigned reason,
                    uint64_t now_ms);

/* ---- for the parts of keeper.c in files of their own */

struct issue_live keeper_live(const struct keeper *keeper);
void keeper_tick_issue(struct keeper *keeper, uint64_t now_ms);

#endif
