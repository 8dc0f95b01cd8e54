/*
 * What request and response heads have in common: lines, fields, framing. Private to h1*.c.
 *
 * A line function works on [p, end) and returns the position after the line, or NULL with *err
 * set to an error, or to H1_E_NONE if more bytes are needed.
 */
#ifndef WORKER_HTTP_H1_LINE_H
#define WORKER_HTTP_H1_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http/h1.h"
#include "worker/http/http.h"

/* scan->stage */
enum { H1_STAGE_START, H1_STAGE_FIELDS };

/* scan->flags */
enum {
    H1_SCAN_SKIPPED_CRLF = 1,
    H1_SCAN_CLOSE = 2,      /* Connection: close */
    H1_SCAN_KEEP_ALIVE = 4, /* Connection: keep-alive */
    H1_SCAN_UPGRADE = 8,    /* Connection: upgrade */
    H1_SCAN_UPGRADES = 16,  /* more than one Upgrade line */
    H1_SCAN_NAMES = 32,     /* Connection nominates other fields */
};

static inline uint64_t h1_once_bit(unsigned id)
{
    return UINT64_C(1) << id;
}

/* The error for byte *p (p < end), which is not allowed at its position; `other` if it is not a
 * special byte. A CR counts as a bare one unless LF follows it; H1_E_NONE: the byte after CR
 * has not arrived yet. */
enum h1_error h1_blame(const char *p, const char *end, enum h1_error other);

/* "HTTP/d.d": false with *err if [p, end) is not a prefix of one; sets *major and *minor if it
 * is complete. */
bool h1_version(const char *p, const char *end, int *major, int *minor, enum h1_error *err);

/* One field line, or the empty line, for which field->name.p is NULL. *name_classes: the
 * classes of bytes that the name has, 0 if its id is a listed one. */
const char *h1_field_line(const char *p, const char *end, struct http_field *field,
                          unsigned *name_classes, enum h1_error *err);

/* Records the tokens of one Connection line in scan->flags; an error if there are too many. */
enum h1_error h1_connection_tokens(struct h1_scan *, struct str value);

/* Content-Length: digits only, no leading zero, at most 2^63-1 (cases 50-54). */
bool h1_length(struct str value, uint64_t *length);

/* Transfer-Encoding: H1_E_NONE when it is exactly "chunked" (cases 43-46). */
enum h1_error h1_coding(struct str value);

/* Resumes: false if the unfinished line still has neither an end nor an error. */
bool h1_scan_line_complete(struct h1_scan *, const char *buf, size_t len);

/* Limit of field lines: one entry of the array is reserved for the line that exceeds the
 * limit. */
static inline unsigned h1_fields_bound(const struct http_limits *limits)
{
    return limits->fields < HTTP_FIELDS_MAX ? limits->fields : HTTP_FIELDS_MAX - 1;
}

/* Nothing more can be decided with these bytes: records where to continue scanning when more
 * arrive. */
static inline void h1_scan_seen(struct h1_scan *scan, const char *buf, size_t len)
{
    scan->seen = len > scan->line && buf[len - 1] == '\r' ? len - 1 : len;
}

#endif
