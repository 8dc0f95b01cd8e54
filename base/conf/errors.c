/* conf/errors.c - see conf/errors.h. */
#include "base/conf/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf/source.h"
#include "base/str.h"

struct conf_report_entry {
    unsigned line;
    size_t order;  /* keeps the sort stable */
    uint64_t kind; /* hash of the text without its values */
    size_t more;   /* in the last kept entry of a kind: how many more were dropped */
    char *text;
};

/* Hash of the text without quoted values and digits: equal for similar messages. */
static uint64_t conf_errors_kind_of(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    bool quoted = false;

    for (; *text; text++) {
        quoted ^= *text == '"';
        if (!quoted && !ascii_is_digit((unsigned char)*text))
            h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    }
    return h;
}

/* Length of the UTF-8 character at p; 0 if it is none, or one that a terminal would obey. */
static size_t conf_errors_shown(const char *p)
{
    const unsigned char *s = (const unsigned char *)p;
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (s[0] < 0x20 || s[0] == 0x7f || s[0] > 0xf4 || (s[0] == 0xc2 && s[1] < 0xa0))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

/* A malloc'ed copy in which all other bytes are escaped; NULL: no memory. */
static char *escape(const char *text)
{
    char *out = malloc(4 * strlen(text) + 1), *to = out;

    while (out && *text) {
        size_t n = conf_errors_shown(text);

        if (n > 0) {
            memcpy(to, text, n);
            to += n;
            text += n;
        } else {
            unsigned char c = (unsigned char)*text++;

            to += sprintf(to, c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\x%02x", c);
        }
    }
    if (out)
        *to = '\0';
    return out;
}

/* True if enough messages of this kind are kept already; the last of them then counts it. */
static bool is_more_alike(struct conf_error_list *report, uint64_t kind)
{
    struct conf_report_entry *last = NULL;
    size_t n = 0;

    for (size_t i = 0; i < report->n; i++)
        if (report->v[i].kind == kind) {
            last = &report->v[i];
            n++;
        }
    if (n < CONF_REPORT_ALIKE)
        return false;
    last->more++;
    return true;
}

static void add(struct conf_error_list *report, unsigned line, const char *text)
{
    struct conf_report_entry e = {
        .line = line, .order = report->n, .kind = conf_errors_kind_of(text)};

    if (is_more_alike(report, e.kind))
        return;
    if (report->n == CONF_REPORT_MAX) {
        report->more++;
        return;
    }
    if (report->n == report->cap) {
        size_t cap = report->cap ? 2 * report->cap : 16;
        struct conf_report_entry *v = reallocarray(report->v, cap, sizeof *v);
        if (!v)
            return;
        report->v = v;
        report->cap = cap;
    }
    e.text = escape(text);
    if (e.text)
        report->v[report->n++] = e;
}

void conf_errors_add(struct conf_error_list *report, unsigned line, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;

    report->bad = true;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    add(report, line, text);
    free(text);
}

static int entry_cmp(const void *va, const void *vb)
{
    const struct conf_report_entry *a = va, *b = vb;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void conf_errors_finish(struct conf_error_list *report, const struct conf_source *text,
                        struct conf_errors *errs)
{
    if (report->n == 0)
        return;
    qsort(report->v, report->n, sizeof *report->v, entry_cmp);
    char **v = reallocarray(errs->v, errs->n + 2 * report->n + 1, sizeof *v);
    if (v)
        errs->v = v;
    for (size_t i = 0; i < report->n; i++) {
        struct conf_report_entry *e = &report->v[i];
        unsigned line;
        const char *file = conf_source_where(text, e->line, &line);
        char *whole = NULL;
        int n = line ? asprintf(&whole, "%s:%u: %s", file, line, e->text)
                     : asprintf(&whole, "%s%s%s", file, *file ? ": " : "", e->text);
        if (v && n >= 0)
            errs->v[errs->n++] = whole;
        if (v && e->more && asprintf(&whole, "and %zu more like it", e->more) >= 0)
            errs->v[errs->n++] = whole;
        free(e->text);
    }
    char *rest = NULL;
    if (v && report->more && asprintf(&rest, "and %zu more", report->more) >= 0)
        errs->v[errs->n++] = rest;
    free(report->v);
    *report = (struct conf_error_list){0};
}
