/* What acmed knows of one certificate, shared by the parts that handle it. Each part calls only
 * those before it:
 *
 *   row < hook_events, deploy < adopt < take_over, request < from_ca < certificate
 *
 * acmed only; no OpenSSL here. */
#ifndef ACMED_CERT_CERTIFICATE_DATA_H
#define ACMED_CERT_CERTIFICATE_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/ari.h"
#include "acmed/cert/hook_queue.h"
#include "acmed/cert/hook_told.h"
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
    CERTIFICATE_POLL_MS = 2000,          /* between two checks of configured files */
    CERTIFICATE_RETRY_MS = 10000,        /* after the store failed */
    CERTIFICATE_UNREAD_MS = 5000,        /* between two tries to read what was live */
    CERTIFICATE_RESPONSE_MS = 5000,      /* longest wait for the supervisor's reply */
    CERTIFICATE_AGAIN_MS = 100,          /* after a message could not be sent */
    CERTIFICATE_RENEWAL_MS = 60 * 60000, /* between two checks of a certificate's end date */
    CERTIFICATE_HOOK_MS = 60000,         /* between two checks whether the hook can be run */
    CERTIFICATE_EXPIRING_MS =
        24 * 60 * 60000, /* between two hook calls about configured files that expire soon */
};

/* Why a generation is to go live. */
enum certificate_cause {
    CERTIFICATE_SELF,
    CERTIFICATE_FILES,
    CERTIFICATE_CA,
    CERTIFICATE_ROLLBACK
};

/* The candidate that is being tested (acmed/cert/deploy.h). */
struct certificate_next {
    struct proof proof; /* .candidate 0: none */
    enum certificate_cause cause;
    enum cert_source source;
    struct pem_info info;
    uint8_t digest[PEM_DIGEST];
    char ari_id[ARI_ID_SIZE];
    uint64_t revoked_wall_ms;   /* 0: not revoked */
    bool key_known;             /* only its key is compromised */
    uint32_t revoked_epoch;     /* revoked_epoch() when this was determined */
    char warning[TABLE_REASON]; /* a finding that does not disqualify it */
    uint64_t retry_ms;          /* it passed, but the store failed: when to retry; 0: not so */
};

/* The outcome of a deployment (acmed/cert/deploy.h): the candidate with this cause is live,
 * with a warning or ""; or it is not, and text tells why. */
enum certificate_end {
    CERTIFICATE_LIVES,
    CERTIFICATE_REJECTED, /* the workers do not accept it, so it must not come again */
    CERTIFICATE_GONE,     /* it was deleted from the store during its test; it may come again */
};

struct certificate;
typedef void certificate_outcome(struct certificate *certificate, enum certificate_cause cause,
                                 enum certificate_end end, const char *text);

struct certificate {
    const struct heritage *heritage;
    const struct conf_cert *conf;
    const struct certificate *dual; /* for the same names (struct conf_cert); NULL: none */
    struct store *store;            /* shared by all certificates; opened when possible */
    struct cert_row row;            /* as published last */
    uint8_t digest[PEM_DIGEST];     /* of the live pair */
    struct certificate_next next;
    certificate_outcome *outcome; /* called at the end of each deployment */
    uint32_t highest;             /* highest generation ever written, as far as is known */
    struct import import;
    bool adopts;     /* nothing is live: search the store under other names */
    bool settled;    /* live, or nothing more can be done for now: READY may be said */
    bool suspicious; /* the last round found a bad pair, perhaps a half-replaced one */
    bool files_bad;  /* that was told, and not yet that they are good again */
    uint64_t due_ms; /* of the next thing to do */
    char own_error[TABLE_ERROR];    /* as logged last, or "" */
    char store_error[TABLE_REASON]; /* why the store is not ours, or "" */
    uint32_t tried;                 /* the link of another service's store that was last read */
    uint64_t try_again_ms;          /* when to read the same one again */

    struct issue issue;
    struct account_op op;     /* running account operation that the operator requested */
    enum cert_request queued; /* a requested operation that waits for a free slot; 0: none */
    uint64_t queued_until_ms;
    uint32_t revoked_epoch; /* revoked_epoch() when the live one was last looked up */
    uint64_t mark_ms;       /* the live one is to be marked as revoked; 0: no */
    unsigned mark_reason;
    bool lost;                /* it is only in the workers' memory: the store was deleted */
    char unread[TABLE_NOTE];  /* what was live cannot be read for now: which file, why; or "" */
    uint64_t unread_ms;       /* when to read it again */
    bool covers;              /* the live one covers all names, with the right key type */
    char ari_id[ARI_ID_SIZE]; /* of the live one, if a CA issued it */
    const char *not_ordered;  /* the policy's reason; NULL: it is, or is not meant to be */
    /* What is missing in the live one's chain; "": nothing. */
    char incomplete[TABLE_REASON];
    char unusable[TABLE_NOTE]; /* why the store cannot be used, or "" */
    char account[TABLE_NOTE];  /* why the account at the CA cannot be used, or "" */
    char clock[TABLE_NOTE];    /* what is wrong with the clock, or "" */
    struct hook hook;
    char told[16];                   /* the event that the hook was last called for */
    char hook_failed[TABLE_REASON];  /* that call and why it failed, or "" */
    char hook_missing[TABLE_REASON]; /* why the hook cannot be called at all, or "" */
    uint64_t hook_look_ms;           /* next check whether it can be called */
    uint32_t hook_generation;        /* whose event the running call is about; 0: of none */
    struct hook_queue hook_queue;    /* events that wait until the hook is free */
    struct store_calls hook_calls;   /* for the live one's event */
    struct hook_told hook_told;      /* when it was last called about trouble */
    uint64_t self_ms; /* no new self-signed one before: the last one was rejected; 0: at once */
};

#endif
