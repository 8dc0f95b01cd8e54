/* The ledger: what was asked of a CA lately, so that its limits are never reached, whatever
 * happens to this process.
 *
 * An attempt is written down before the CA hears of it, and counts as a failure of each of its
 * names until its success is written down: a crash loop spends nothing. The limits are
 * those of the CA, by its directory, or those of the configuration. For Let's Encrypt ours are
 * below what it allows: 5 failures per name and hour, 300 orders per account in 3 hours, 5
 * certificates for the same names in 7 days, 10 accounts in 3 hours. Of other CAs nothing is
 * known: there they only bound what a crash loop can do, and the pace of renewals follows the
 * lifetime (order/plan.h).
 *
 * One ledger per CA, in its account's folder; sizes are bounded, because what is older than the
 * longest limit is dropped. The rules are pure, with the time given by the caller; only
 * rate_log_load() and rate_log_save() touch the disk. acmed only. Seconds since 1970. */
#ifndef ACMED_ORDER_RATE_LOG_H
#define ACMED_ORDER_RATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RATE_LOG_HOUR_S = 3600,
    RATE_LOG_ORDERS_S = 3 * 3600,
    RATE_LOG_WEEK_S = 7 * 24 * 3600,
    RATE_LOG_ENTRIES = 8192, /* more are not kept: the CA is not asked until some are old */
    RATE_LOG_BYTES = RATE_LOG_ENTRIES * 48,
};

struct rate_log_entry {
    uint64_t at_s;
    uint64_t what; /* hash of a name, or of a set of names */
    char kind;     /* 'f' failure of a name, 'o' order, 'c' certificate, 'a' account */
};

/* How much in which time; 0: no limit, and then it is not counted. */
struct rate_log_limits {
    uint32_t failures; /* per name and hour */
    uint32_t orders;   /* in 3 hours */
    uint32_t same;     /* certificates of the same names in a week */
    uint32_t accounts; /* made in 3 hours */
};

struct rate_log {
    struct rate_log_limits limits;
    struct rate_log_entry *entry; /* heap, in the order of writing */
    size_t n, cap;
    char says[96]; /* the limit that was met last */
};

struct rate_log_names {
    const char *const *name;
    size_t n;
    uint64_t life_s; /* of the certificate that is to be renewed; 0: there is none */
};

struct conf_ca_limits;

/* The limits of the CA with this directory, but for those that the operator set (not 0). */
struct rate_log_limits rate_log_limits_of(const char *directory,
                                          const struct conf_ca_limits *set);

/* 0: may be asked now. Else in how many seconds at the earliest, and *why is a limit in plain
 * words, which holds until the next question. renewal: the certificate replaces one that is
 * near its end, which CAs that know ARI exempt from the limit on the same names. */
uint64_t rate_log_wait(struct rate_log *ledger, struct rate_log_names names, bool renewal,
                       uint64_t now_s, const char **why);
/* The same, by failures only: for a renewal that cannot wait for anything else, since the live
 * certificate ends soon. Still no crash loop is without a bound. */
uint64_t rate_log_wait_urgent(struct rate_log *ledger, struct rate_log_names names,
                              uint64_t now_s, const char **why);
/* The same for making an account. */
uint64_t rate_log_wait_account(struct rate_log *ledger, uint64_t now_s, const char **why);

/* Writes down, in memory: an attempt that begins; its success, which takes its failures back;
 * an order; an account. -1: no memory, or full. */
int rate_log_attempt(struct rate_log *ledger, struct rate_log_names names, uint64_t now_s);
int rate_log_success(struct rate_log *ledger, struct rate_log_names names, uint64_t begun_s,
                     uint64_t now_s);
int rate_log_order(struct rate_log *ledger, uint64_t now_s);
int rate_log_account(struct rate_log *ledger, uint64_t now_s);

/* The attempt never reached the CA, or the failure was not about its names (the CA was down):
 * takes its failures back. */
void rate_log_pardon(struct rate_log *ledger, struct rate_log_names names, uint64_t begun_s);

/* No account came of it: takes that back. Should the CA have made one nevertheless, the same
 * key gets the same one the next time. */
void rate_log_pardon_account(struct rate_log *ledger, uint64_t begun_s);

/* A text for a file, heap, without what is too old by now; NULL: no memory. And back: -1 with
 * errno EPROTO when it is damaged, and then everything before the damage is kept. Entries of
 * the future, by a clock that was wrong, count as of now. */
char *rate_log_print(struct rate_log *ledger, uint64_t now_s, size_t *n);
int rate_log_parse(struct rate_log *ledger, const char *text, size_t n, uint64_t now_s);

/* To and from the folder of an account. 0 or -1 with errno; no file is an empty ledger. */
int rate_log_load(struct rate_log *ledger, int dir, uint64_t now_s);
int rate_log_save(struct rate_log *ledger, int dir, uint64_t now_s);
void rate_log_release(struct rate_log *ledger);

#endif
