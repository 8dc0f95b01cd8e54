/* Orders one certificate: carries out what order/plan.h decides by running jobs (order/job.h),
 * and keeps on disk what a successor needs to continue. The certificate calls it at each look
 * and deploys the result. acmed only. */
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

/* State of dns-01 (order/issue_dns.h). */
struct issue_dns {
    struct hook hook;
    struct dns_records records;
    struct dns_record now;     /* of the current hook call; GOES: remove it, else publish it */
    struct dns_record put;     /* the record that the run waits for */
    bool waits;                /* the run waits for `put` */
    char says[HOOK_WHY + 128]; /* why the hook did not publish what the run needs; "" */
};

struct issue {
    struct ca_set *ca_set; /* NULL: not ordered from a CA */
    const struct conf_cert *conf;
    const char *name; /* its directory name in the store */
    int dir;          /* STORE/orders/NAME; -1: not open */
    struct cert_state state;
    uint64_t seen_ms;             /* wall clock at the last look; 0: none yet */
    uint64_t seen_boot_ms;        /* clock_boot_ms() then */
    bool away;                    /* plan_start() must be called */
    struct job_run *run;          /* NULL: none */
    enum job_kind kind;           /* of the run */
    enum fallback_ca ca;          /* of the run, while it is an order */
    enum job_challenge proved_by; /* the challenge kind that proved its names */
    struct order order;           /* of the run, while it is an order */
    uint64_t wanted_for;          /* what the order is for (order/order_store.h) */
    bool by_hand;                 /* the operator requested this try, or it resumes an order */
    bool resumes;                 /* plan_resumes() when the try began */
    bool gone;          /* the CA has lost the resumed order, so the run is being ended */
    bool urgent;        /* plan_urgent() when the try began */
    bool makes_account; /* the run creates the account; others at that CA will use it */
    struct issue_dns dns;
    uint64_t due_ms;        /* monotonic; of the next look */
    int64_t clock_off_ms;   /* the CA's clock minus ours, as last reported; 0: unknown */
    uint64_t clock_wait_ms; /* not 0: the run is being ended because the renewal is due only by
                               our clock */

    bool no_store;              /* the last try ended because the store cannot be written */
    char refused[TABLE_REASON]; /* why we stopped the run's order; "" */
    bool store_refused;         /* because the store cannot be written */

    /* For the row: what is running or comes next, and what the last preflight found. */
    char doing[sizeof((struct cert_row){0}.doing)];
    char note[TABLE_NOTES][TABLE_NOTE];
};

/* What the certificate passes in at each look. */
struct issue_live {
    struct plan_live plan;
    char ari_id[ARI_ID_SIZE]; /* "": none */
};

enum issue_news {
    ISSUE_NOTHING,
    ISSUE_CHANGED, /* in the state: time of the next try, or problem */
    ISSUE_CAME,    /* a new pair for the certificate to check, store and publish */
    ISSUE_FAILED,  /* state.problem holds the reason */
};

/* ca_set NULL: never orders. name is borrowed. Reads the state; opens the directory if
 * possible. */
void issue_init(struct issue *issue, struct ca_set *ca_set, const struct conf_cert *conf,
                const char *name, uint64_t now_ms);
/* Ends the run; everything needed later is on disk. */
void issue_release(struct issue *issue);

/* Continues. After ISSUE_CAME, *pair is the caller's to release; it calls issue_settle()
 * next. */
enum issue_news issue_tick(struct issue *issue, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair);

/* The new pair is not valid before this time by our clock: a later try takes it from the same
 * order. false: it is not valid by the CA's clock either, so it is unusable. */
bool issue_wait_valid(struct issue *issue, uint64_t not_before_wall_ms);

/* error NULL: the pair is live. Else error says why not, and the order is kept and resumed
 * later. */
void issue_settle(struct issue *issue, const struct issue_live *live, const char *error);

/* The store cannot take the pair now: no failure of the CA. The same order is continued in a
 * minute, and gives the same pair. */
void issue_not_stored(struct issue *issue, const struct issue_live *live, const char *error);

/* The order is over: removes its key and URL. */
void issue_forget_order(struct issue *issue);

/* Whether it is being ordered, tried at staging or in preflight. */
bool issue_busy(const struct issue *issue);

/* The index of the CA that issued the live certificate; -1: none that is configured. */
int issue_live_ca(const struct issue *issue);

/* To poll for input; -1: none. */
int issue_fd(const struct issue *issue);

/* The operator requests a new certificate now; with `force` also when the live one is good.
 * NULL, or the reason why not. */
const char *issue_want(struct issue *issue, const struct issue_live *live, bool force);
/* The operator rolled back to an older pair: no order for a day, nor for more than half of the
 * time until it expires. */
void issue_hold(struct issue *issue, uint64_t not_after_wall_ms);

/* The hook was told of trouble. Stored, so that a successor does not repeat it within the
 * hour. */
void issue_told(struct issue *issue, uint64_t now_wall_ms);

#endif
