#include "acmed/order/rate_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/order/backoff.h"
#include "acmed/order/kvfile.h"
#include "base/conf/conf.h"
#include "base/hash.h"

enum { FAILURE = 'f', ORDER = 'o', CERTIFICATE = 'c', ACCOUNT = 'a' };

enum {
    FIRST_CAP = 64,
    BESIDE_NAMES = 2, /* entries of an attempt beside its names: an order, an account */
    RATE_LOG_FULL_S = RATE_LOG_HOUR_S, /* failures are the most, and as old as that they go */
};

static const char file_name[] = "ledger";

/* ---- hashes */

/* Of a set of names; independent of their order. */
static uint64_t hash_set(struct rate_log_names names)
{
    uint64_t sum = names.n;

    for (size_t i = 0; i < names.n; i++)
        sum += hash_text(HASH_START, names.name[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return sum;
}

/* ---- limits */

/* Production and staging of Let's Encrypt, the only public CA whose published limits we
 * know. */
static bool is_letsencrypt(const char *directory)
{
    return strstr(directory, ".api.letsencrypt.org/") != NULL;
}

struct rate_log_limits rate_log_limits_of(const char *directory,
                                          const struct conf_ca_limits *set)
{
    static const struct rate_log_limits known = {4, 250, 4, 3}, unknown = {60, 0, 0, 10};
    struct rate_log_limits limits = is_letsencrypt(directory) ? known : unknown;

    if (set->failures)
        limits.failures = set->failures;
    if (set->orders)
        limits.orders = set->orders;
    if (set->same_names)
        limits.same = set->same_names;
    if (set->accounts)
        limits.accounts = set->accounts;
    return limits;
}

/* ---- age */

static uint64_t kept_s(char kind)
{
    return kind == FAILURE       ? RATE_LOG_HOUR_S
           : kind == CERTIFICATE ? RATE_LOG_WEEK_S
                                 : RATE_LOG_ORDERS_S;
}

static bool is_old(const struct rate_log_entry *e, uint64_t now_s)
{
    return e->at_s + kept_s(e->kind) < now_s;
}

/* A time in the future was written while the clock was ahead. It counts as of now, except that
 * of a failure, which is dropped (0 is old): all of them at once could hold up a renewal for an
 * hour. begun_s stays, so that the entry can still be taken out. */
static uint64_t believed_s(char kind, uint64_t at_s, uint64_t now_s)
{
    if (at_s <= now_s)
        return at_s;
    return kind == FAILURE ? 0 : now_s;
}

static void rate_log_mistrust(struct rate_log *rate_log, uint64_t now_s)
{
    for (size_t i = 0; i < rate_log->n; i++) {
        struct rate_log_entry *e = &rate_log->entry[i];

        e->at_s = believed_s(e->kind, e->at_s, now_s);
    }
}

static void rate_log_prune(struct rate_log *rate_log, uint64_t now_s)
{
    size_t kept = 0;

    for (size_t i = 0; i < rate_log->n; i++)
        if (!is_old(&rate_log->entry[i], now_s))
            rate_log->entry[kept++] = rate_log->entry[i];
    rate_log->n = kept;
}

/* Whether `n` more entries fit, after the old ones are dropped if they are in the way. */
static bool rate_log_fits(struct rate_log *rate_log, size_t n, uint64_t now_s)
{
    if (rate_log->n + n > RATE_LOG_ENTRIES)
        rate_log_prune(rate_log, now_s);
    return rate_log->n + n <= RATE_LOG_ENTRIES;
}

/* ---- waiting times */

/* How long to wait until at most `limit` entries of a kind are within the last `span_s`. */
static uint64_t rate_log_wait_for(const struct rate_log *rate_log, char kind, uint64_t what,
                                  size_t limit, uint64_t span_s, uint64_t now_s)
{
    size_t found = 0;

    if (limit == 0)
        return 0;
    /* The limit-th entry from the end decides: it has to become old. */
    for (size_t i = rate_log->n; i-- > 0;) {
        const struct rate_log_entry *e = &rate_log->entry[i];

        if (e->kind != kind || e->what != what || e->at_s + span_s < now_s)
            continue;
        if (++found == limit)
            return e->at_s + span_s + 1 - now_s; /* times were rounded down */
    }
    return 0;
}

/* Keeps the longer wait, and describes its limit. */
static void rate_log_longer(struct rate_log *rate_log, uint64_t *wait, uint64_t other,
                            uint32_t limit, const char *what)
{
    if (other <= *wait)
        return;
    *wait = other;
    snprintf(rate_log->says, sizeof rate_log->says, "limit reached: %u %s (acme.limits)", limit,
             what);
}

/* A certificate that lives for minutes gets more tries per hour. This does not exceed the
 * limits of a CA where they are known, since it issues no such certificates. */
static uint32_t failures_allowed(const struct rate_log_limits *l, uint64_t life_s)
{
    uint64_t tries = life_s ? RATE_LOG_HOUR_S * 4 * BACKOFF_TRIES_IN_LIFE / life_s : 0;

    if (l->failures == 0 || tries <= l->failures)
        return l->failures;
    return tries < RATE_LOG_ENTRIES / 2 ? (uint32_t)tries : RATE_LOG_ENTRIES / 2;
}

uint64_t rate_log_wait_urgent(struct rate_log *rate_log, struct rate_log_names names,
                              uint64_t now_s, const char **why)
{
    uint32_t failures = failures_allowed(&rate_log->limits, names.life_s);
    uint64_t wait = 0;

    rate_log->says[0] = '\0';
    *why = rate_log->says;
    rate_log_mistrust(rate_log, now_s);
    for (size_t i = 0; i < names.n; i++)
        rate_log_longer(rate_log, &wait,
                        rate_log_wait_for(rate_log, FAILURE,
                                          hash_text(HASH_START, names.name[i]), failures,
                                          RATE_LOG_HOUR_S, now_s),
                        failures, "failed orders of a name in an hour");
    if (!rate_log_fits(rate_log, names.n + BESIDE_NAMES, now_s))
        rate_log_longer(rate_log, &wait, RATE_LOG_FULL_S, RATE_LOG_ENTRIES,
                        "recent entries in the rate log");
    return wait;
}

uint64_t rate_log_wait(struct rate_log *rate_log, struct rate_log_names names, bool renewal,
                       uint64_t now_s, const char **why)
{
    const struct rate_log_limits *l = &rate_log->limits;
    uint64_t wait = rate_log_wait_urgent(rate_log, names, now_s, why);

    rate_log_longer(rate_log, &wait,
                    rate_log_wait_for(rate_log, ORDER, 0, l->orders, RATE_LOG_ORDERS_S, now_s),
                    l->orders, "orders in 3 hours");
    if (!renewal)
        rate_log_longer(rate_log, &wait,
                        rate_log_wait_for(rate_log, CERTIFICATE, hash_set(names), l->same,
                                          RATE_LOG_WEEK_S, now_s),
                        l->same, "certificates for these names in 7 days");
    return wait;
}

uint64_t rate_log_wait_account(struct rate_log *rate_log, uint64_t now_s, const char **why)
{
    uint32_t limit = rate_log->limits.accounts;
    uint64_t wait = 0;

    rate_log->says[0] = '\0';
    *why = rate_log->says;
    rate_log_mistrust(rate_log, now_s);
    rate_log_longer(rate_log, &wait,
                    rate_log_wait_for(rate_log, ACCOUNT, 0, limit, RATE_LOG_ORDERS_S, now_s),
                    limit, "accounts made in 3 hours");
    return wait;
}

/* ---- recording */

/* Makes room for `n` more entries. -1: no memory, or full. */
static int rate_log_reserve(struct rate_log *rate_log, size_t n, uint64_t now_s)
{
    size_t cap = rate_log->cap ? rate_log->cap : FIRST_CAP;
    struct rate_log_entry *entry;

    if (!rate_log_fits(rate_log, n, now_s))
        return -1;
    while (cap < rate_log->n + n)
        cap *= 2;
    if (cap == rate_log->cap)
        return 0;
    entry = realloc(rate_log->entry, cap * sizeof *entry);
    if (!entry)
        return -1;
    rate_log->entry = entry;
    rate_log->cap = cap;
    return 0;
}

/* After rate_log_reserve(). */
static void rate_log_add(struct rate_log *rate_log, char kind, uint64_t what, uint64_t at_s)
{
    rate_log->entry[rate_log->n++] =
        (struct rate_log_entry){.at_s = at_s, .begun_s = at_s, .what = what, .kind = kind};
}

static int rate_log_add_one(struct rate_log *rate_log, char kind, uint64_t what, uint64_t now_s)
{
    if (rate_log_reserve(rate_log, 1, now_s) < 0)
        return -1;
    rate_log_add(rate_log, kind, what, now_s);
    return 0;
}

int rate_log_attempt(struct rate_log *rate_log, struct rate_log_names names, uint64_t now_s)
{
    if (rate_log_reserve(rate_log, names.n, now_s) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        rate_log_add(rate_log, FAILURE, hash_text(HASH_START, names.name[i]), now_s);
    return 0;
}

static void rate_log_take_out(struct rate_log *rate_log, char kind, uint64_t what,
                              uint64_t begun_s)
{
    for (size_t i = rate_log->n; i-- > 0;) {
        const struct rate_log_entry *e = &rate_log->entry[i];

        if (e->kind != kind || e->what != what || e->begun_s != begun_s)
            continue;
        rate_log->n--;
        memmove(&rate_log->entry[i], &rate_log->entry[i + 1], (rate_log->n - i) * sizeof *e);
        return;
    }
}

void rate_log_refund(struct rate_log *rate_log, struct rate_log_names names, uint64_t begun_s)
{
    for (size_t i = 0; i < names.n; i++)
        rate_log_take_out(rate_log, FAILURE, hash_text(HASH_START, names.name[i]), begun_s);
}

void rate_log_refund_account(struct rate_log *rate_log, uint64_t begun_s)
{
    rate_log_take_out(rate_log, ACCOUNT, 0, begun_s);
}

int rate_log_success(struct rate_log *rate_log, struct rate_log_names names, uint64_t begun_s,
                     uint64_t now_s)
{
    rate_log_refund(rate_log, names, begun_s);
    return rate_log->limits.same
               ? rate_log_add_one(rate_log, CERTIFICATE, hash_set(names), now_s)
               : 0;
}

int rate_log_order(struct rate_log *rate_log, uint64_t now_s)
{
    return rate_log->limits.orders ? rate_log_add_one(rate_log, ORDER, 0, now_s) : 0;
}

int rate_log_account(struct rate_log *rate_log, uint64_t now_s)
{
    return rate_log_add_one(rate_log, ACCOUNT, 0, now_s);
}

/* ---- text */

char *rate_log_print(struct rate_log *rate_log, uint64_t now_s, size_t *n)
{
    char *text = malloc(RATE_LOG_BYTES + 1);

    *n = 0;
    if (!text)
        return NULL;
    rate_log_prune(rate_log, now_s);
    for (size_t i = 0; i < rate_log->n; i++) {
        const struct rate_log_entry *e = &rate_log->entry[i];

        *n += (size_t)snprintf(text + *n, RATE_LOG_BYTES + 1 - *n, "%c=%llu:%016llx\n", e->kind,
                               (unsigned long long)e->at_s, (unsigned long long)e->what);
    }
    return text;
}

/* "SECONDS:16 hex digits" */
static bool read_entry(struct str value, struct rate_log_entry *e)
{
    if (value.n < 18 || value.p[value.n - 17] != ':' ||
        !kvfile_number(str_make(value.p, value.n - 17), &e->at_s))
        return false;
    e->what = 0;
    for (size_t i = value.n - 16; i < value.n; i++) {
        int digit = ascii_hex((unsigned char)value.p[i]);

        if (digit < 0)
            return false;
        e->what = e->what << 4 | (uint64_t)digit;
    }
    return true;
}

int rate_log_parse(struct rate_log *rate_log, const char *text, size_t n, uint64_t now_s)
{
    struct str rest = str_make(text, n), key, value;
    struct rate_log_entry e;
    int got;

    while ((got = kvfile_line(&rest, &key, &value)) > 0) {
        if (key.n != 1 || !memchr("foca", key.p[0], 4) || !read_entry(value, &e)) {
            got = -1;
            break;
        }
        e.kind = key.p[0];
        e.begun_s = e.at_s;
        e.at_s = believed_s(e.kind, e.at_s, now_s);
        if (is_old(&e, now_s))
            continue;
        if (rate_log_reserve(rate_log, 1, now_s) < 0) {
            got = -1;
            break;
        }
        rate_log->entry[rate_log->n++] = e;
    }
    errno = EPROTO;
    return got;
}

int rate_log_load(struct rate_log *rate_log, int dir, uint64_t now_s)
{
    size_t n;
    char *text = kvfile_read(dir, file_name, RATE_LOG_BYTES, &n);
    int rc;

    *rate_log = (struct rate_log){.limits = rate_log->limits};
    if (!text)
        return errno == ENOENT ? 0 : -1;
    rc = rate_log_parse(rate_log, text, n, now_s);
    free(text);
    errno = EPROTO;
    return rc;
}

int rate_log_save(struct rate_log *rate_log, int dir, uint64_t now_s)
{
    size_t n;
    char *text = rate_log_print(rate_log, now_s, &n);
    int rc, error;

    if (!text)
        return -1;
    rc = kvfile_write(dir, file_name, text, n);
    error = errno;
    free(text);
    errno = error;
    return rc;
}

void rate_log_release(struct rate_log *rate_log)
{
    free(rate_log->entry);
    *rate_log = (struct rate_log){0};
}
