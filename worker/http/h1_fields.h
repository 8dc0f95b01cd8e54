/*
 * The field section of a head: the same for requests and responses, except for what each notes
 * of a field. Private to h1_request.c and h1_response.c.
 *
 * Inlined into both parsers with its `note`, so that one loop in the source costs no call per
 * field.
 */
#ifndef WORKER_HTTP_H1_FIELDS_H
#define WORKER_HTTP_H1_FIELDS_H

#include <sys/types.h>

#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"
#include "worker/http/h1_line.h"

/* Which part of a message the fields go to, and what is noted of each. */
struct h1_fields {
    struct http_field *fields; /* [HTTP_FIELDS_MAX] */
    uint16_t *n;
    unsigned dropped; /* classes of bytes: a field whose name contains one is dropped */
    /* Errors that one field line alone shows. *keep, true before the call, becomes false for a
     * line that is to be dropped. */
    enum h1_error (*note)(struct h1_scan *, void *message, const struct http_field *,
                          bool *keep);
    void *message; /* for note() */
};

/* The line is not complete yet: is it, or the head, already too long? longest: the most bytes
 * that it may have without its end; error: if it has more. */
static inline ssize_t h1_need_more(struct h1_scan *scan, const char *buf, size_t len,
                                   const struct http_limits *limits, size_t longest,
                                   enum h1_error error)
{
    h1_scan_seen(scan, buf, len);
    if (len - scan->line > longest)
        return -(ssize_t)error;
    return len >= limits->head ? -H1_E_HEAD_LONG : 0;
}

static inline ssize_t h1_need_more_fields(struct h1_scan *scan, const char *buf, size_t len,
                                          const struct http_limits *limits)
{
    return h1_need_more(scan, buf, len, limits, (size_t)limits->field + 1, H1_E_FIELD_LONG);
}

/* The buffer moved: adjusts a slice that lies in its first n bytes. Slices of literals stay. */
static inline void h1_move_slice(struct str *s, uintptr_t old, size_t n, const char *buf)
{
    uintptr_t at = (uintptr_t)s->p;

    if (s->p && at >= old && at - old <= n)
        s->p = buf + (at - old);
}

static inline void h1_move_fields(struct http_field *fields, size_t nfields, uintptr_t old,
                                  size_t n, const char *buf)
{
    for (size_t i = 0; i < nfields; i++) {
        h1_move_slice(&fields[i].name, old, n, buf);
        h1_move_slice(&fields[i].value, old, n, buf);
    }
}

/* Parses from scan->line up to and including the empty line. Returns the length of the head, 0
 * if more bytes are needed, or -enum h1_error. */
__attribute__((always_inline)) static inline ssize_t
h1_fields_parse(const struct h1_fields *to, const char *buf, size_t len, struct h1_scan *scan,
                const struct http_limits *limits)
{
    const char *p = buf + scan->line, *end = buf + len;
    unsigned classes = 0, most = h1_fields_bound(limits);
    enum h1_error err;

    for (;;) {
        /* Parsed in its final place, but counted only if it is kept. */
        struct http_field *field = &to->fields[*to->n];
        const char *next = h1_field_line(p, end, field, &classes, &err);
        bool keep = true;

        if (!next)
            return err ? -(ssize_t)err : h1_need_more_fields(scan, buf, len, limits);
        if ((size_t)(next - buf) > limits->head)
            return -H1_E_HEAD_LONG;
        if (!field->name.p)
            return next - buf;
        p = next;
        if ((size_t)(next - buf) - scan->line > (size_t)limits->field + 2)
            return -H1_E_FIELD_LONG;
        scan->line = (size_t)(next - buf);
        if (++scan->lines > most)
            return -H1_E_FIELDS_MANY;
        if (classes & to->dropped)
            continue;
        err = to->note(scan, to->message, field, &keep);
        if (err)
            return -(ssize_t)err;
        *to->n = (uint16_t)(*to->n + keep);
    }
}

#endif
