/* conf/report.c - see conf/report.h. */
#include "base/conf/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/conf/conf.h"
#include "base/conf/errors.h"
#include "base/conf/source.h"

static int conf_report_order(const void *va, const void *vb)
{
    const struct conf_report_entry *a = va, *b = vb;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void conf_report_finish(struct conf_error_list *report, const struct conf_source *text,
                        struct conf_errors *errs)
{
    if (report->n == 0)
        return;
    qsort(report->v, report->n, sizeof *report->v, conf_report_order);
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
