/* The rate log: what was recently requested from a CA, so that its limits are never reached,
 * whatever happens to this process.
 *
 * An attempt is recorded before the CA hears of it, and counts as a failure of each of its
 * names until its success is recorded; so a crash loop cannot use up the limits. The limits are
 * those of the CA, known by its directory URL, or those of the configuration. For Let's Encrypt
 * ours are below what it allows: 5 failures per name and hour, 300 orders per account in 3
 * hours, 5 certificates for the same names in 7 days, 10 accounts in 3 hours. For other CAs
 * nothing is known: there the limits only bound a crash loop, and the pace of renewals follows
 * the lifetime (order/plan.h).
 *
 * There is one rate log per CA, in its account's directory. Its size is bounded, because
 * entries older than the longest limit are dropped. The rules are pure, with the time given by
 * the caller; only rate_log_load() and rate_log_save() access the disk. acmed only. Seconds
 * since 1970. */
#ifndef ACMED_ORDER_RATE_LOG_H
#define ACMED_ORDER_RATE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RATE_LOG_HOUR_S = 3600,
    RATE_LOG_ORDERS_S = 3 * 3600,
    RATE_LOG_WEEK_S = 7 * 24 * 3600,
    RATE_LOG_ENTRIES = 8192, /* when full, nothing is ordered until some entries are old */
    RATE_LOG_BYTES = RATE_LOG_ENTRIES * 48,
};

struct rate_log_entry {
    uint64_t at_s;    /* from when on it ages; changed when the clock turns out to be ahead */
    uint64_t begun_s; /* as recorded; a refund finds the entry by it */
    uint64_t what;    /* hash of a name, or of a set of names */
    char kind;        /* 'f' failure of a name, 'o' order, 'c' certificate, 'a' account */
};

/* The limits. 0: no limit; then such orders and certificates are not recorded. */
struct rate_log_limits {
    uint32_t failures; /* per name and hour */
    uint32_t orders;   /* in 3 hours */
    uint32_t same;     /* certificates for the same names in a week */
    uint32_t accounts; /* created in 3 hours */
};

struct rate_log {
    struct rate_log_limits limits;
    struct rate_log_entry *entry; /* heap, in the order of recording */
    size_t n, cap;
    char says[96]; /* the limit that was reached last */
};

struct rate_log_names {
    const char *const *name;
    size_t n;
    uint64_t life_s; /* lifetime of the certificate to be renewed; 0: none */
};

struct conf_ca_limits;

/* The limits of the CA with this directory URL, except those that the operator set (not 0). */
struct rate_log_limits rate_log_limits_of(const char *directory,
                                          const struct conf_ca_limits *set);

/* 0: it may be requested now. Else the number of seconds to wait at least; *why is the limit in
 * plain words, valid until the next call. renewal: the certificate replaces one that is near
 * its end, which CAs that support ARI exempt from the limit on the same names. */
uint64_t rate_log_wait(struct rate_log *rate_log, struct rate_log_names names, bool renewal,
                       uint64_t now_s, const char **why);
/* The same, by failures only, and while the rate log is full: for a renewal that cannot wait
 * for anything else, since the live certificate ends soon. A crash loop is still bounded. */
uint64_t rate_log_wait_urgent(struct rate_log *rate_log, struct rate_log_names names,
                              uint64_t now_s, const char **why);
/* The same for creating an account. */
uint64_t rate_log_wait_account(struct rate_log *rate_log, uint64_t now_s, const char **why);

/* Record in memory: an attempt that begins; its success, which removes its failures; an order;
 * an account. -1: no memory, or full even without the entries that are too old; then nothing is
 * recorded (of a success, only that its failures are removed). */
int rate_log_attempt(struct rate_log *rate_log, struct rate_log_names names, uint64_t now_s);
int rate_log_success(struct rate_log *rate_log, struct rate_log_names names, uint64_t begun_s,
                     uint64_t now_s);
int rate_log_order(struct rate_log *rate_log, uint64_t now_s);
int rate_log_account(struct rate_log *rate_log, uint64_t now_s);

/* The attempt never reached the CA, or the failure was not about its names (for example, the CA
 * was down): removes its failures. */
void rate_log_refund(struct rate_log *rate_log, struct rate_log_names names, uint64_t begun_s);

/* No account was created: removes the entry. If the CA did create one, the same key gets the
 * same account next time. */
void rate_log_refund_account(struct rate_log *rate_log, uint64_t begun_s);

/* rate_log_print(): the text of the file, on the heap; NULL: no memory. rate_log_parse(): -1
 * with errno EPROTO when it is damaged, keeping everything before the damage. Both drop entries
 * that are too old. Entries from the future, written by a wrong clock, count as of now;
 * failures from the future are dropped. */
char *rate_log_print(struct rate_log *rate_log, uint64_t now_s, size_t *n);
int rate_log_parse(struct rate_log *rate_log, const char *text, size_t n, uint64_t now_s);

/* Read and write the file in the account's directory. 0 or -1 with errno; no file is an empty
 * rate log. */
int rate_log_load(struct rate_log *rate_log, int dir, uint64_t now_s);
int rate_log_save(struct rate_log *rate_log, int dir, uint64_t now_s);
void rate_log_release(struct rate_log *rate_log);

#endif
