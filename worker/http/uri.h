/*
 * Path normalisation: one form of a path, which is both routed and forwarded (cases 77-85).
 *
 * Worker only, pure. Dot segments are removed once, unreserved percent-encodings decoded once
 * (never twice: %2541 stays), hex digits made upper-case, runs of slashes merged. What leaves
 * here, path or query, has only bytes that RFC 3986 allows there (case 14).
 */
#ifndef WORKER_HTTP_URI_H
#define WORKER_HTTP_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* What is wrong with a path. All of them are 400 for the client (H1_E_PATH). */
enum uri_error {
    URI_E_NONE,
    URI_E_START,     /* does not start with a slash */
    URI_E_CHAR,      /* a byte that a path may not have, backslash included */
    URI_E_PERCENT,   /* % without two hex digits */
    URI_E_CONTROL,   /* %00 - %1f, %7f */
    URI_E_SEPARATOR, /* %2f, %5c; with URI_ALLOW_ENCODED_SLASH dots beside %2f */
    URI_E_OVERLONG,  /* an overlong UTF-8 form */
    URI_E_ABOVE,     /* .. above the root */
    URI_E_PARAM,     /* . or .. or an empty segment with ;parameters */
    URI_E_LONG,      /* does not fit the buffer */
    URI_ERRORS
};

/* Leave %2F as it is instead of refusing it. It never becomes a slash; but what would be a dot
 * segment if somebody behind us made it one is refused. %5C stays refused. */
#define URI_ALLOW_ENCODED_SLASH 1u

/* Bytes that browsers send raw (H1_C_RAW but the backslash) become percent-encoded instead
 * of being refused. That bytes above 0x7f are UTF-8 was looked at before (http/h1_request.c).
 */
#define URI_ENCODE_RAW 2u

/*
 * Normalise `path` (without query) into out[0, cap). Never longer than the input, but for what
 * URI_ENCODE_RAW makes three bytes of one. Returns the length (> 0) or -enum uri_error.
 * Idempotent: its result gives itself.
 */
ssize_t uri_normalise(char *out, size_t cap, struct str path, unsigned flags);

/* Whether a normalised path has an encoded slash in it. */
bool uri_has_encoded_slash(struct str path);

/* The length of a query, or of a raw path, once its raw bytes are percent-encoded: its own when
 * there are none. And the encoding itself, into out[0, cap): the length, or -1 when it does not
 * fit. */
size_t uri_encoded_size(struct str text);
ssize_t uri_encode(char *out, size_t cap, struct str text);

/*
 * The form for matching only: a normalised path without the ;parameters of its segments, as
 * Tomcat sees it. Returns `path` itself when there are none, else a slice of out[0, cap) (cap
 * >= path.n).
 */
struct str uri_strip_params(char *out, size_t cap, struct str path);

/*
 * Where in a normalised path the first n bytes of its stripped form end: `/pas;a=b/x` and 4
 * give 4, and 5 gives 9. Lets a route that matched the stripped form replace the prefix in the
 * real one.
 */
size_t uri_prefix_end(struct str path, size_t n);

/* Words for the log. Takes the error positive or negated. */
const char *uri_error_text(int err);

/* True when `path` is `prefix` or goes on below it: the next byte is a slash (or prefix ends
 * so). */
static inline bool uri_under(struct str path, struct str prefix)
{
    if (!str_starts(path, prefix))
        return false;
    return path.n == prefix.n || (prefix.n && prefix.p[prefix.n - 1] == '/') ||
           path.p[prefix.n] == '/';
}

#endif
