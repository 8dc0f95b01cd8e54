/* conf/errors.c - see conf/errors.h. */
#include "base/conf/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "base/hash.h"
#include "base/str.h"

/* Hash of the text without quoted values and digits: equal for similar messages. */
static uint64_t conf_errors_kind_of(const char *text)
{
    uint64_t h = HASH_START;
    bool quoted = false;

    for (; *text; text++) {
        quoted ^= *text == '"';
        if (!quoted && !ascii_is_digit((unsigned char)*text))
            h = hash_byte(h, (uint8_t)*text);
    }
    return h;
}

/* A malloc'ed copy for people to read; NULL: no memory. */
static char *conf_errors_escape(const char *text)
{
    size_t cap = ESCAPE_UNIT * strlen(text) + 1;
    char *out = malloc(cap);

    if (out)
        escape_text(out, cap, str_from(text), ESCAPE_LINE);
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
    e.text = conf_errors_escape(text);
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

bool conf_errors_is_lack(int error)
{
    return error == ENOMEM || error == EMFILE || error == ENFILE;
}

void conf_errors_no_memory(struct conf_error_list *report)
{
    report->host = true;
    conf_errors_add(report, 0,
                    "out of memory: the host has none left, or a limit is too low (ulimit -v "
                    "and -d, LimitAS and LimitDATA of systemd)");
}
