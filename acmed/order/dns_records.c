#include "acmed/order/dns_records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/order/kvfile.h"
#include "base/str.h"

static const char file_name[] = "records";

enum {
    LINE_MAX_BYTES = 2 * DNS_RECORD_NAME + SIGNER_DNS_VALUE_SIZE + 32,
    FILE_MAX = DNS_RECORDS_MAX * LINE_MAX_BYTES,
};

static const char *const names[] = {
    [DNS_RECORD_HALF] = "half", [DNS_RECORD_THERE] = "there", [DNS_RECORD_GOES] = "goes"};

static bool cut_word(struct str *rest, char *out, size_t cap)
{
    size_t n = str_index(*rest, ' ');

    if (n == 0 || n >= cap)
        return false;
    str_copy(out, cap, str_head(*rest, n));
    *rest = str_skip(*rest, n < rest->n ? n + 1 : n);
    return true;
}

/* "", "TRIES" or "TRIES CUT". */
static bool read_counts(struct str rest, struct dns_record *record)
{
    uint64_t count[2] = {0};

    for (size_t i = 0; i < 2 && rest.n; i++) {
        size_t n = str_index(rest, ' ');

        if (!kvfile_number(str_head(rest, n), &count[i]) || n + 1 == rest.n)
            return false;
        rest = str_skip(rest, n < rest.n ? n + 1 : n);
    }
    record->tries = (unsigned)count[0];
    record->cut = (unsigned)count[1];
    return rest.n == 0 && count[0] <= DNS_RECORD_TRIES && count[1] <= DNS_RECORD_CUTS;
}

static bool dns_records_read_line(struct dns_records *records, struct str key, struct str value)
{
    char name[DNS_RECORD_NAME], target[DNS_RECORD_NAME], text[SIGNER_DNS_VALUE_SIZE];
    struct dns_record *record, counts;
    size_t state = 1;

    while (state < sizeof names / sizeof *names && !str_eq(key, str_from(names[state])))
        state++;
    if (state == sizeof names / sizeof *names || !cut_word(&value, name, sizeof name) ||
        !cut_word(&value, target, sizeof target) || !cut_word(&value, text, sizeof text) ||
        !read_counts(value, &counts) ||
        !(record = dns_records_find(records, name, target, text, true)))
        return false;
    record->state = (enum dns_record_state)state;
    record->tries = counts.tries;
    record->cut = counts.cut;
    return true;
}

int dns_records_load(int dir, struct dns_records *records)
{
    size_t n = 0;
    char *text = kvfile_read(dir, file_name, FILE_MAX, &n);
    struct str rest = str_make(text, n), key, value;
    int got = 0;

    *records = (struct dns_records){0};
    while (text && (got = kvfile_line(&rest, &key, &value)) > 0)
        if (!dns_records_read_line(records, key, value)) {
            got = -1;
            break;
        }
    free(text);
    if (got < 0)
        dns_records_release(records);
    return got;
}

void dns_records_release(struct dns_records *records)
{
    free(records->list);
    *records = (struct dns_records){0};
}

int dns_records_save(int dir, const struct dns_records *records)
{
    char *text;
    size_t at = 0;
    int saved;

    if (records->n == 0) {
        kvfile_remove(dir, file_name);
        return 0;
    }
    text = malloc(FILE_MAX);
    if (!text)
        return -1;
    for (size_t i = 0; i < records->n; i++) {
        const struct dns_record *r = &records->list[i];

        at += (size_t)snprintf(text + at, FILE_MAX - at, "%s=%s %s %s", names[r->state],
                               r->name, r->target, r->value);
        at += (size_t)snprintf(text + at, FILE_MAX - at,
                               r->cut     ? " %u %u\n"
                               : r->tries ? " %u\n"
                                          : "\n",
                               r->tries, r->cut);
    }
    saved = kvfile_write(dir, file_name, text, at);
    free(text);
    return saved;
}

struct dns_record *dns_records_find(struct dns_records *records, const char *name,
                                    const char *target, const char *value, bool make)
{
    struct dns_record *list, *r;

    for (size_t i = 0; i < records->n; i++) {
        r = &records->list[i];
        if (strcmp(r->name, name) == 0 && strcmp(r->target, target) == 0 &&
            strcmp(r->value, value) == 0)
            return r;
    }
    if (!make || records->n == DNS_RECORDS_MAX)
        return NULL;
    list = realloc(records->list, (records->n + 1) * sizeof *list);
    if (!list)
        return NULL;
    records->list = list;
    r = &list[records->n++];
    *r = (struct dns_record){.state = DNS_RECORD_HALF};
    snprintf(r->name, sizeof r->name, "%s", name);
    snprintf(r->target, sizeof r->target, "%s", target);
    snprintf(r->value, sizeof r->value, "%s", value);
    return r;
}

void dns_records_remove(struct dns_records *records, struct dns_record *record)
{
    size_t behind = records->n - (size_t)(record - records->list) - 1;

    memmove(record, record + 1, behind * sizeof *record);
    records->n--;
}

bool dns_records_all_go(struct dns_records *records)
{
    bool any = false;

    for (size_t i = 0; i < records->n; i++) {
        struct dns_record *r = &records->list[i];

        if (r->state == DNS_RECORD_GOES)
            continue;
        any = true;
        r->state = DNS_RECORD_GOES;
        r->tries = r->cut = 0;
    }
    return any;
}

struct dns_record *dns_records_next(struct dns_records *records, uint64_t now_ms)
{
    for (size_t i = 0; i < records->n; i++)
        if (records->list[i].state == DNS_RECORD_GOES && now_ms >= records->list[i].due_ms)
            return &records->list[i];
    return NULL;
}
