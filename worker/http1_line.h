/*
 * What request and response heads have in common: lines, fields, framing. Private to http1_*.c.
 *
 * A line function works on [p, end) and returns the position after the line, or NULL with *err
 * set to an error, or to HTTP1_E_NONE when more bytes are needed.
 */
#ifndef WORKER_HTTP1_LINE_H
#define WORKER_HTTP1_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http.h"
#include "worker/http1.h"

/* scan->stage */
enum { HTTP1_STAGE_START, HTTP1_STAGE_FIELDS };

/* scan->flags */
enum {
    HTTP1_SCAN_SKIPPED_CRLF = 1,
    HTTP1_SCAN_CLOSE = 2,      /* Connection: close */
    HTTP1_SCAN_KEEP_ALIVE = 4, /* Connection: keep-alive */
    HTTP1_SCAN_UPGRADE = 8,    /* Connection: upgrade */
    HTTP1_SCAN_UPGRADES = 16,  /* more than one Upgrade line */
    HTTP1_SCAN_NAMES = 32,     /* Connection nominates others */
};

static inline uint64_t http1_once_bit(unsigned id)
{
    return UINT64_C(1) << id;
}

/* What is wrong when byte *p (p < end) stands where it may not; `other` when it is no special
 * one. A CR is a bare one unless LF follows it; NULL-like HTTP1_E_NONE: the byte after CR is
 * not there. */
enum http1_error http1_blame(const char *p, const char *end, enum http1_error other);

/* "HTTP/d.d": false with *err when [p, end) is no prefix of one; *major and *minor when whole.
 */
bool http1_version(const char *p, const char *end, int *major, int *minor,
                   enum http1_error *err);

/* One field line, or the empty line, for which field->name.p is NULL. */
const char *http1_field_line(const char *p, const char *end, struct http_field *field,
                             unsigned *name_classes, enum http1_error *err);

/* Notes the tokens of one Connection line in scan->flags. */
void http1_connection_tokens(struct http1_scan *, struct str value);

/* Content-Length: digits only, no leading zero, at most 2^63-1 (cases 50-54). */
bool http1_length(struct str value, uint64_t *length);

/* Transfer-Encoding: HTTP1_E_NONE when it is exactly "chunked" (cases 43-46). */
enum http1_error http1_coding(struct str value);

/* Resume: false when the unfinished line still has neither an end nor an error. */
bool http1_scan_line_complete(struct http1_scan *, const char *buf, size_t len);

/* Lines that may come: one place of the array is for the line that is one too many. */
static inline unsigned http1_fields_bound(const struct http_limits *limits)
{
    return limits->fields < HTTP_FIELDS_MAX ? limits->fields : HTTP_FIELDS_MAX - 1;
}

/* Nothing more to be told from these bytes: where to go on looking when more have come. */
static inline void http1_scan_seen(struct http1_scan *scan, const char *buf, size_t len)
{
    scan->seen = len > scan->line && buf[len - 1] == '\r' ? len - 1 : len;
}

#endif
