/*
 * Path normalisation: one form of a path, which is both routed and forwarded (cases 77-85).
 *
 * Worker only, pure. Dot segments are removed once, unreserved percent-encodings are decoded
 * once (never twice: %2541 stays), hex digits become upper-case, runs of slashes are merged.
 * The result, path or query, contains only bytes that RFC 3986 allows there (case 14).
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
    URI_E_CHAR,      /* a byte that is not allowed in a path, such as a backslash */
    URI_E_PERCENT,   /* % without two hex digits */
    URI_E_CONTROL,   /* %00 - %1f, %7f */
    URI_E_SEPARATOR, /* %2f, %5c; with URI_ALLOW_ENCODED_SLASH: dot segments next to %2f */
    URI_E_OVERLONG,  /* an overlong UTF-8 form */
    URI_E_ABOVE,     /* .. above the root */
    URI_E_PARAM,     /* . or .. or an empty segment with ;parameters */
    URI_E_LONG,      /* does not fit the buffer */
    URI_ERRORS
};

/* Keeps %2F instead of refusing it. It never becomes a slash, but it is refused where it would
 * create a dot segment if a backend decoded it. %5C is always refused. */
#define URI_ALLOW_ENCODED_SLASH 1u

/* Percent-encodes bytes that browsers send raw (H1_C_RAW except the backslash) instead of
 * refusing them. The request parser has already checked that bytes above 0x7f are UTF-8
 * (http/h1_request.c). */
#define URI_ENCODE_RAW 2u

/*
 * Normalises `path` (without query) into out[0, cap). The result is never longer than the
 * input, except that URI_ENCODE_RAW makes three bytes of one. Returns the length (> 0) or -enum
 * uri_error. Idempotent.
 */
ssize_t uri_normalise(char *out, size_t cap, struct str path, unsigned flags);

/* Whether a normalised path contains an encoded slash. */
bool uri_has_encoded_slash(struct str path);

/* uri_encoded_size(): the length of a query, or of a raw path, after its raw bytes are
 * percent-encoded; text.n if there are none. uri_encode(): does the encoding, into out[0, cap);
 * returns the length, or -1 if it does not fit. */
size_t uri_encoded_size(struct str text);
ssize_t uri_encode(char *out, size_t cap, struct str text);

/* Text for the log. Takes the error positive or negated. */
const char *uri_error_text(int err);

#endif
