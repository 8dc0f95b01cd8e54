/* The ledger: what was asked of a CA lately, so that its limits are never reached, whatever
 * happens to this process.
 *
 * An attempt is written down before the CA hears of it, and counts as a failure of each of its
 * names until its success is written down: a crash loop spends nothing. Ours are below what
 * Let's Encrypt allows: 5 failures per name and hour, 300 orders per account in 3 hours, 5
 * certificates for the same names in 7 days, 10 accounts in 3 hours.
 *
 * One ledger per CA, in its account's folder; sizes are bounded, because what is older than the
 * longest limit is dropped. The rules are pure, with the time given by the caller; only
 * ledger_load() and ledger_save() touch the disk. acmed only. Seconds since 1970. */
#ifndef ACMED_LEDGER_H
#define ACMED_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEDGER_HOUR_S = 3600,
    LEDGER_ORDERS_S = 3 * 3600,
    LEDGER_WEEK_S = 7 * 24 * 3600,
    LEDGER_FAILURES = 4,   /* per name and hour */
    LEDGER_ORDERS = 250,   /* in 3 hours */
    LEDGER_SAME = 4,       /* certificates of the same names in a week */
    LEDGER_ACCOUNTS = 3,   /* made in 3 hours */
    LEDGER_ENTRIES = 8192, /* more are not kept: the CA is not asked until some are old */
    LEDGER_BYTES = LEDGER_ENTRIES * 48,
};

struct ledger_entry {
    uint64_t at_s;
    uint64_t what; /* hash of a name, or of a set of names */
    char kind;     /* 'f' failure of a name, 'o' order, 'c' certificate, 'a' account */
};

struct ledger {
    struct ledger_entry *entry; /* heap, in the order of writing */
    size_t n, cap;
};

struct ledger_names {
    const char *const *name;
    size_t n;
};

/* 0: may be asked now. Else in how many seconds at the earliest, and *why is a limit in plain
 * words. renewal: the certificate replaces one that is near its end, which CAs that know ARI
 * exempt from the limit on the same names. */
uint64_t ledger_wait(const struct ledger *ledger, struct ledger_names names, bool renewal,
                     uint64_t now_s, const char **why);
/* The same for making an account. */
uint64_t ledger_wait_account(const struct ledger *ledger, uint64_t now_s, const char **why);

/* Writes down, in memory: an attempt that begins; its success, which takes its failures back;
 * an order; an account. -1: no memory, or full. */
int ledger_attempt(struct ledger *ledger, struct ledger_names names, uint64_t now_s);
int ledger_success(struct ledger *ledger, struct ledger_names names, uint64_t begun_s,
                   uint64_t now_s);
int ledger_order(struct ledger *ledger, uint64_t now_s);
int ledger_account(struct ledger *ledger, uint64_t now_s);

/* The attempt never reached the CA, or the failure was not about its names (the CA was down):
 * takes its failures back. */
void ledger_pardon(struct ledger *ledger, struct ledger_names names, uint64_t begun_s);

/* No account came of it: takes that back. Should the CA have made one nevertheless, the same
 * key gets the same one the next time. */
void ledger_pardon_account(struct ledger *ledger, uint64_t begun_s);

/* A text for a file, heap, without what is too old by now; NULL: no memory. And back: -1 with
 * errno EPROTO when it is damaged, and then everything before the damage is kept. Entries of
 * the future, by a clock that was wrong, count as of now. */
char *ledger_print(struct ledger *ledger, uint64_t now_s, size_t *n);
int ledger_parse(struct ledger *ledger, const char *text, size_t n, uint64_t now_s);

/* To and from the folder of an account. 0 or -1 with errno; no file is an empty ledger. */
int ledger_load(struct ledger *ledger, int folder, uint64_t now_s);
int ledger_save(struct ledger *ledger, int folder, uint64_t now_s);
void ledger_release(struct ledger *ledger);

#endif
