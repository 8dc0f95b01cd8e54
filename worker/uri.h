/*
 * Path normalisation: one form of a path, which is both routed and forwarded (cases 77-85).
 *
 * Worker only, pure. Dot segments are removed once, unreserved percent-encodings decoded once
 * (never twice: %2541 stays), hex digits made upper-case, runs of slashes merged.
 */
#ifndef WORKER_URI_H
#define WORKER_URI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* What is wrong with a path. All of them are 400 for the client (HTTP1_E_PATH). */
enum uri_error {
    URI_E_NONE,
    URI_E_START,     /* does not start with a slash */
    URI_E_CHAR,      /* a byte that a path may not have, backslash included */
    URI_E_PERCENT,   /* % without two hex digits */
    URI_E_CONTROL,   /* %00 - %1f, %7f */
    URI_E_SEPARATOR, /* %2f, %5c */
    URI_E_OVERLONG,  /* an overlong UTF-8 form */
    URI_E_ABOVE,     /* .. above the root */
    URI_E_PARAM,     /* . or .. or an empty segment with ;parameters */
    URI_E_LONG,      /* does not fit the buffer */
    URI_ERRORS
};

/* Leave %2F as it is instead of refusing it. It never becomes a slash. %5C stays refused. */
#define URI_ALLOW_ENCODED_SLASH 1u

/*
 * Normalise `path` (without query) into out[0, cap). Never longer than the input. Returns the
 * length
 * (> 0) or -enum uri_error. Idempotent: its result gives itself.
 */
ssize_t uri_normalise(char *out, size_t cap, struct str path, unsigned flags);

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
