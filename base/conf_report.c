/* conf_report.c - see conf_report.h. */
#include "base/conf_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf_text.h"

/* Nobody reads more, and a file of rubbish shall not fill the memory. */
#define REPORT_MAX 200

struct conf_report_entry {
    unsigned line;
    size_t order; /* keeps the sort stable */
    char *text;
};

void conf_report_add(struct conf_report *report, unsigned line, const char *fmt, ...)
{
    report->bad = true;
    if (report->n == REPORT_MAX)
        return;
    if (report->n == report->cap) {
        size_t cap = report->cap ? 2 * report->cap : 16;
        struct conf_report_entry *v = reallocarray(report->v, cap, sizeof *v);
        if (!v)
            return;
        report->v = v;
        report->cap = cap;
    }

    struct conf_report_entry *e = &report->v[report->n];
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&e->text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    e->line = line;
    e->order = report->n++;
}

static int entry_cmp(const void *va, const void *vb)
{
    const struct conf_report_entry *a = va, *b = vb;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void conf_report_finish(struct conf_report *report, const struct conf_text *text,
                        struct conf_errors *errs)
{
    if (report->n == 0)
        return;
    qsort(report->v, report->n, sizeof *report->v, entry_cmp);
    char **v = reallocarray(errs->v, errs->n + report->n, sizeof *v);
    if (v)
        errs->v = v;
    for (size_t i = 0; i < report->n; i++) {
        struct conf_report_entry *e = &report->v[i];
        unsigned line;
        const char *file = conf_text_where(text, e->line, &line);
        char *whole = NULL;
        int n = line ? asprintf(&whole, "%s:%u: %s", file, line, e->text)
                     : asprintf(&whole, "%s%s%s", file, *file ? ": " : "", e->text);
        if (v && n >= 0)
            errs->v[errs->n++] = whole;
        free(e->text);
    }
    free(report->v);
    *report = (struct conf_report){0};
}
