#include "acmed/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/record.h"

enum { FAILURE = 'f', ORDER = 'o', CERTIFICATE = 'c', ACCOUNT = 'a', FIRST_CAP = 64 };

static const char file_name[] = "ledger";

/* ---- hashes */

static uint64_t hash_name(const char *name)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(1099511628211);
    return h;
}

/* Of a set: its order does not matter. */
static uint64_t hash_set(struct ledger_names names)
{
    uint64_t sum = names.n;

    for (size_t i = 0; i < names.n; i++)
        sum += hash_name(names.name[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return sum;
}

/* ---- looking back */

/* When may the next one be, if at most `limit` of a kind are allowed in `span_s`? */
static uint64_t wait_for(const struct ledger *ledger, char kind, uint64_t what, size_t limit,
                         uint64_t span_s, uint64_t now_s)
{
    size_t found = 0;

    /* From the latest back: the limit-th one decides, and has to become old. */
    for (size_t i = ledger->n; i-- > 0;) {
        const struct ledger_entry *e = &ledger->entry[i];

        if (e->kind != kind || e->what != what || e->at_s + span_s < now_s)
            continue;
        if (++found == limit)
            return e->at_s + span_s + 1 - now_s; /* times were rounded down */
    }
    return 0;
}

static void longer(uint64_t *wait, uint64_t other, const char **why, const char *reason)
{
    if (other <= *wait)
        return;
    *wait = other;
    *why = reason;
}

uint64_t ledger_wait(const struct ledger *ledger, struct ledger_names names, bool renewal,
                     uint64_t now_s, const char **why)
{
    uint64_t wait = 0;

    *why = "";
    for (size_t i = 0; i < names.n; i++)
        longer(&wait,
               wait_for(ledger, FAILURE, hash_name(names.name[i]), LEDGER_FAILURES,
                        LEDGER_HOUR_S, now_s),
               why, "4 failures in an hour; the CA allows 5 of a name");
    longer(&wait, wait_for(ledger, ORDER, 0, LEDGER_ORDERS, LEDGER_ORDERS_S, now_s), why,
           "250 orders in 3 hours; the CA allows 300");
    if (!renewal)
        longer(
            &wait,
            wait_for(ledger, CERTIFICATE, hash_set(names), LEDGER_SAME, LEDGER_WEEK_S, now_s),
            why, "4 certificates for these names in 7 days; the CA allows 5");
    if (ledger->n + names.n + 2 > LEDGER_ENTRIES)
        longer(&wait, LEDGER_HOUR_S, why, "the ledger is full");
    return wait;
}

uint64_t ledger_wait_account(const struct ledger *ledger, uint64_t now_s, const char **why)
{
    uint64_t wait = 0;

    *why = "";
    longer(&wait, wait_for(ledger, ACCOUNT, 0, LEDGER_ACCOUNTS, LEDGER_ORDERS_S, now_s), why,
           "3 accounts in 3 hours; the CA allows 10");
    return wait;
}

/* ---- writing down */

static int add(struct ledger *ledger, char kind, uint64_t what, uint64_t at_s)
{
    if (ledger->n == LEDGER_ENTRIES)
        return -1;
    if (ledger->n == ledger->cap) {
        size_t cap = ledger->cap ? ledger->cap * 2 : FIRST_CAP;
        struct ledger_entry *entry = realloc(ledger->entry, cap * sizeof *entry);

        if (!entry)
            return -1;
        ledger->entry = entry;
        ledger->cap = cap;
    }
    ledger->entry[ledger->n++] =
        (struct ledger_entry){.at_s = at_s, .what = what, .kind = kind};
    return 0;
}

int ledger_attempt(struct ledger *ledger, struct ledger_names names, uint64_t now_s)
{
    for (size_t i = 0; i < names.n; i++)
        if (add(ledger, FAILURE, hash_name(names.name[i]), now_s) < 0)
            return -1;
    return 0;
}

static void take_out(struct ledger *ledger, char kind, uint64_t what, uint64_t at_s)
{
    for (size_t i = ledger->n; i-- > 0;) {
        const struct ledger_entry *e = &ledger->entry[i];

        if (e->kind != kind || e->what != what || e->at_s != at_s)
            continue;
        ledger->n--;
        memmove(&ledger->entry[i], &ledger->entry[i + 1], (ledger->n - i) * sizeof *e);
        return;
    }
}

void ledger_pardon(struct ledger *ledger, struct ledger_names names, uint64_t begun_s)
{
    for (size_t i = 0; i < names.n; i++)
        take_out(ledger, FAILURE, hash_name(names.name[i]), begun_s);
}

void ledger_pardon_account(struct ledger *ledger, uint64_t begun_s)
{
    take_out(ledger, ACCOUNT, 0, begun_s);
}

int ledger_success(struct ledger *ledger, struct ledger_names names, uint64_t begun_s,
                   uint64_t now_s)
{
    ledger_pardon(ledger, names, begun_s);
    return add(ledger, CERTIFICATE, hash_set(names), now_s);
}

int ledger_order(struct ledger *ledger, uint64_t now_s)
{
    return add(ledger, ORDER, 0, now_s);
}

int ledger_account(struct ledger *ledger, uint64_t now_s)
{
    return add(ledger, ACCOUNT, 0, now_s);
}

/* ---- text */

static uint64_t kept_s(char kind)
{
    return kind == FAILURE       ? LEDGER_HOUR_S
           : kind == CERTIFICATE ? LEDGER_WEEK_S
                                 : LEDGER_ORDERS_S;
}

char *ledger_print(struct ledger *ledger, uint64_t now_s, size_t *n)
{
    char *text = malloc(LEDGER_BYTES + 1);
    size_t kept = 0;

    *n = 0;
    if (!text)
        return NULL;
    for (size_t i = 0; i < ledger->n; i++) {
        struct ledger_entry e = ledger->entry[i];

        if (e.at_s + kept_s(e.kind) < now_s)
            continue;
        ledger->entry[kept++] = e;
        *n += (size_t)snprintf(text + *n, LEDGER_BYTES + 1 - *n, "%c=%llu:%016llx\n", e.kind,
                               (unsigned long long)e.at_s, (unsigned long long)e.what);
    }
    ledger->n = kept;
    return text;
}

/* "SECONDS:16 hex digits" */
static bool read_entry(struct str value, struct ledger_entry *e)
{
    if (value.n < 18 || value.p[value.n - 17] != ':' ||
        !record_number(str_make(value.p, value.n - 17), &e->at_s))
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

int ledger_parse(struct ledger *ledger, const char *text, size_t n, uint64_t now_s)
{
    struct str rest = str_make(text, n), key, value;
    struct ledger_entry e;
    int got;

    while ((got = record_line(&rest, &key, &value)) > 0) {
        if (key.n != 1 || !memchr("foca", key.p[0], 4) || !read_entry(value, &e))
            got = -1;
        else if (add(ledger, key.p[0], e.what, e.at_s < now_s ? e.at_s : now_s) < 0)
            got = -1;
        if (got < 0)
            break;
    }
    errno = EPROTO;
    return got;
}

int ledger_load(struct ledger *ledger, int folder, uint64_t now_s)
{
    size_t n;
    char *text = record_read(folder, file_name, LEDGER_BYTES, &n);
    int rc;

    *ledger = (struct ledger){0};
    if (!text)
        return errno == ENOENT ? 0 : -1;
    rc = ledger_parse(ledger, text, n, now_s);
    free(text);
    errno = EPROTO;
    return rc;
}

int ledger_save(struct ledger *ledger, int folder, uint64_t now_s)
{
    size_t n;
    char *text = ledger_print(ledger, now_s, &n);
    int rc, error;

    if (!text)
        return -1;
    rc = record_write(folder, file_name, text, n);
    error = errno;
    free(text);
    errno = error;
    return rc;
}

void ledger_release(struct ledger *ledger)
{
    free(ledger->entry);
    *ledger = (struct ledger){0};
}
