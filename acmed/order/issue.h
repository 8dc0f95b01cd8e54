/* Ordering one certificate: carries out what order/plan.h decides, by jobs (order/job.h), and
 * keeps on disk what a successor needs to go on. The keeper asks it at each look and makes live
 * what comes. acmed only. */
#ifndef ACMED_ORDER_ISSUE_H
#define ACMED_ORDER_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/ari.h"
#include "acmed/cert/cert_state.h"
#include "acmed/cert/store.h"
#include "acmed/helper/hook.h"
#include "acmed/net/preflight.h"
#include "acmed/order/ca_set.h"
#include "acmed/order/dns_records.h"
#include "acmed/order/job.h"
#include "acmed/order/order_store.h"
#include "acmed/order/plan.h"

struct conf_cert;

/* dns-01 (order/issue_dns.h). */
struct issue_dns {
    struct hook hook;
    struct dns_records records;
    struct dns_record now; /* what the hook is called for: GOES to take it away, else to put */
    struct dns_record put; /* what the run waits for */
    bool waits;            /* the run does */
    char says[HOOK_WHY + 128]; /* why the hook did not publish what it needed; "" */
};

struct issue {
    struct ca_set *issuer; /* NULL: this certificate is not ordered */
    const struct conf_cert *conf;
    const char *name; /* its folder */
    int dir;          /* STORE/orders/NAME; -1: not open */
    struct cert_state state;
    uint64_t seen_ms;             /* of the last look, wall clock; 0: none yet */
    bool away;                    /* plan_start() has to be called */
    struct job_run *run;          /* NULL: none */
    enum job_kind kind;           /* of the run */
    enum fallback_ca ca;          /* of the run, while it orders */
    enum job_challenge proved_by; /* what it ended with */
    struct order order;           /* of the run, while it orders */
    uint64_t wanted_for;          /* what it is for (order/order_store.h) */
    bool by_hand;                 /* the try is what the operator wanted, or resumes */
    bool resumes;                 /* plan_resumes(), when the try began */
    bool gone;                    /* the run ends because the CA has lost what it resumed */
    bool urgent;                  /* plan_urgent(), when the try began */
    bool makes_account;           /* the run does; others at the same CA get the same one */
    struct issue_dns dns;
    uint64_t due_ms;        /* monotonic: look again */
    int64_t clock_off_ms;   /* the CA's clock less ours, as last told; 0: not known */
    uint64_t clock_wait_ms; /* the run ends because only our clock says that it is due */

    /* For the row: what is under way or comes next, and what the last preflight found. */
    char doing[sizeof((struct cert_row){0}.doing)];
    char note[TABLE_NOTES][TABLE_NOTE];
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
void issue_init(struct issue *issue, struct ca_set *issuer, const struct conf_cert *conf,
                const char *name, uint64_t now_ms);
/* Ends what runs; all that matters is on disk. */
void issue_release(struct issue *issue);

/* Goes on. ISSUE_CAME: *pair is the caller's to release, then issue_settle(). */
enum issue_news issue_tick(struct issue *issue, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair);

/* The pair that came is not valid before this time, by our clock: it is taken then, of the same
 * order. false: by the CA's own clock it is not valid either; it is no good. */
bool issue_wait_valid(struct issue *issue, uint64_t not_before_wall_ms);

/* The pair is live, or error tells why not: then the order is kept, and gone on with later. */
void issue_settle(struct issue *issue, const struct issue_live *live, const char *error);

/* The order is over: its key and URL are of no use any more. */
void issue_forget_order(struct issue *issue);

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
