/* Ordering one certificate: carries out what plan.h decides, by jobs (job.h), and keeps on disk
 * what a successor needs to go on. The keeper asks it at each look and makes live what comes.
 * acmed only. */
#ifndef ACMED_ISSUE_H
#define ACMED_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/ari.h"
#include "acmed/cert_state.h"
#include "acmed/hook.h"
#include "acmed/issuer.h"
#include "acmed/job.h"
#include "acmed/order_store.h"
#include "acmed/plan.h"
#include "acmed/preflight.h"
#include "acmed/store.h"

struct conf_cert;

enum { ISSUE_DROPS = 8 }; /* records of one certificate that are taken away at a time */

struct issue {
    struct issuer *issuer; /* NULL: this certificate is not ordered */
    const struct conf_cert *conf;
    const char *name; /* its folder */
    int folder;       /* STORE/orders/NAME; -1: not open */
    struct cert_state state;
    uint64_t seen_ms;              /* of the last look, wall clock; 0: none yet */
    bool away;                     /* plan_start() has to be called */
    struct job_run *run;           /* NULL: none */
    enum job_kind kind;            /* of the run */
    enum ladder_ca ca;             /* of the run, while it orders */
    enum job_challenge proved_by;  /* what it ended with */
    struct order order;            /* of the run, while it orders */
    uint64_t wanted_for;           /* what it is for (order_store.h) */
    bool wanted;                   /* by the operator, now */
    bool by_hand;                  /* the run is what the operator wanted */
    bool makes_account;            /* the run does; others at the same CA get the same one */
    struct hook dns;               /* dns-01 */
    bool dns_waits;                /* the run waits for its end */
    struct hook drop[ISSUE_DROPS]; /* clean up behind it */
    uint64_t due_ms;               /* monotonic: look again */

    /* For the row: what is under way or comes next, and what the last preflight found. */
    char doing[sizeof((struct cert_row){0}.doing)];
    char note[TABLE_NOTES][TABLE_REASON];
};

/* What the keeper tells at each look. */
struct issue_live {
    struct plan_live plan;
    char ari_id[ARI_ID_SIZE]; /* "": none */
};

enum issue_news {
    ISSUE_NOTHING,
    ISSUE_CHANGED, /* the state: time of the next try, or problem */
    ISSUE_CAME,    /* a new pair, for the keeper to check, store and publish */
    ISSUE_FAILED,  /* state.problem tells */
};

/* issuer NULL: never orders. name is borrowed. Reads the state; opens the folder if it can. */
void issue_init(struct issue *issue, struct issuer *issuer, const struct conf_cert *conf,
                const char *name, uint64_t now_ms);
/* Ends what runs; all that matters is on disk. */
void issue_release(struct issue *issue);

/* Goes on. ISSUE_CAME: *pair is the caller's to release, then issue_settle(). */
enum issue_news issue_tick(struct issue *issue, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair);

/* The pair is live, or error tells why not: then the order is kept, and gone on with later. */
void issue_settle(struct issue *issue, const struct issue_live *live, const char *error);

/* Is it being ordered, rehearsed or looked at before that? */
bool issue_busy(const struct issue *issue);

/* Which of the issuer's CAs made the live certificate; -1: none that is configured. */
int issue_live_ca(const struct issue *issue);

/* To be polled for input; -1: none. */
int issue_fd(const struct issue *issue);

/* The operator wants a new one now; with `force` also when the live one is good. NULL, or why
 * not. */
const char *issue_want(struct issue *issue, const struct issue_live *live, bool force);
/* The operator went back to an older one: it stays for a day at least. */
void issue_hold(struct issue *issue);

/* The operator's program is told of trouble now: kept on disk, so that no successor tells it
 * again within the hour. */
void issue_told(struct issue *issue, uint64_t now_wall_ms);

#endif
