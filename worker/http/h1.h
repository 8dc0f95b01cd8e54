/*
 * HTTP/1.x parsers (RFC 9112): incremental, zero-copy, no allocation, no I/O, strict.
 *
 * Worker only. The caller owns the buffer and all structs. The parsers accept exactly what the
 * forwarded head can express; everything ambiguous is refused (cases 1-98 of the list of
 * hostile cases, data in t/hostile/cases.txt). Sizes are in bytes.
 *
 * Cases that the parser cannot see, and who handles them: 28 (host against SNI: nobody, as all
 * names of a configuration have one TLS policy, so that no host is stricter); 57, 67, 97
 * (end of input inside a message: the connection code aborts both sides); 58 (early response);
 * 59 (one 100 per request, close if a final status comes first); 60 (pipelining: surplus bytes
 * after a message are the next head, parsed from a fresh h1_scan); 92 (the caller counts
 * interim heads, H1_INTERIM_MAX, and sends none to 1.0 clients); 94, 95 (bytes after the end:
 * close the backend connection); 99 (retry); 100 (deadline: 408). OPTIONS * (20) is reported as
 * HTTP_TARGET_ASTERISK: the caller responds with 204.
 */
#ifndef WORKER_HTTP_H1_H
#define WORKER_HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/http.h"

/* A backend that sends more interim (1xx) heads than this for one request is faulty: 502 (case
 * 92). */
#define H1_INTERIM_MAX 8

/* Limits of one head and its body. Start from HTTP_LIMITS_DEFAULT, then lower or raise. */
struct http_limits {
    uint32_t target;    /* request target: 414 */
    uint32_t field;     /* one field line: 431 */
    uint32_t head;      /* whole head with its start line: 431. Head buffers need this size */
    uint32_t fields;    /* field lines, below HTTP_FIELDS_MAX: 431 */
    uint32_t chunk_ext; /* all chunk extensions of one body: 400 */
    uint32_t trailers;  /* trailer section: 431 */
    uint64_t body;      /* declared Content-Length: 413; 0: no limit. Chunked: see h1_chunked */
};

#define HTTP_FIELDS_LIMIT  100
#define HTTP_TARGET_MAX    (8 * 1024)
#define HTTP_TARGET_MOST   (32 * 1024) /* upper limit for .target */
#define HTTP_FIELD_MAX     (16 * 1024)
#define HTTP_HEAD_MAX      (64 * 1024)
#define HTTP_CHUNK_EXT_MAX (4 * 1024)
#define HTTP_TRAILERS_MAX  (8 * 1024)

#define HTTP_LIMITS_DEFAULT                                                        \
    {                                                                              \
        .target = HTTP_TARGET_MAX, .field = HTTP_FIELD_MAX, .head = HTTP_HEAD_MAX, \
        .fields = HTTP_FIELDS_LIMIT, .chunk_ext = HTTP_CHUNK_EXT_MAX,              \
        .trailers = HTTP_TRAILERS_MAX, .body = 0                                   \
    }

extern const struct http_limits http_limits_default;

/* Limits for all Connection lines of a head together: each field of the head is compared with
 * each name that they nominate, so the product has to stay small. Legitimate senders need only
 * a few names. */
#define H1_CONNECTION_NAMES 32   /* names, empty ones included: 431 */
#define H1_CONNECTION_BYTES 1024 /* their values: 431 */

/* Longest method token: the IANA registry's longest has 17 bytes. More: 400. */
#define H1_METHOD_MAX 32

/* Codings in one Transfer-Encoding: 400. RFC 9110 knows five. */
#define H1_CODINGS_MAX 8

/* Parse errors. Functions return them negated; h1_error_info() has the status and a text. */
enum h1_error {
    H1_E_NONE,
    /* start line */
    H1_E_LEADING_CRLF, /* more than one empty line before the request */
    H1_E_BARE_LF,
    H1_E_BARE_CR,
    H1_E_CTL, /* NUL or another control byte */
    H1_E_TLS_ON_PLAIN,
    H1_E_H2_PREFACE,
    H1_E_SPACING, /* tab, double or trailing space in the start line */
    H1_E_METHOD,
    H1_E_METHOD_UNKNOWN, /* a known one in another case, or PRI: 501 */
    H1_E_METHOD_REFUSED, /* CONNECT, TRACE: 405 */
    H1_E_VERSION,
    H1_E_VERSION_MAJOR, /* 505 */
    H1_E_TARGET_EMPTY,
    H1_E_TARGET_CHAR,
    H1_E_TARGET_FORM,
    H1_E_TARGET_LONG, /* 414 */
    H1_E_SCHEME,
    H1_E_AUTHORITY,
    H1_E_STATUS_LINE,
    /* host */
    H1_E_HOST_MISSING,
    H1_E_HOST_TWICE,
    H1_E_HOST_INVALID,
    /* fields */
    H1_E_FIELD_SPACE, /* space around the name, or a line that starts with space: obs-fold */
    H1_E_FIELD_COLON,
    H1_E_FIELD_NAME,
    H1_E_FIELD_LONG,  /* 431 */
    H1_E_HEAD_LONG,   /* 431 */
    H1_E_FIELDS_MANY, /* 431 */
    H1_E_CONNECTION,  /* too many names in Connection: 431 */
    H1_E_FIELD_TWICE, /* a field that may occur only once */
    H1_E_EXPECT,      /* 417 */
    /* framing */
    H1_E_LENGTH_AND_CODING,
    H1_E_LENGTH,
    H1_E_LENGTH_TWICE,
    H1_E_LENGTH_OVER, /* 413 */
    H1_E_CODING,
    H1_E_CODING_UNKNOWN, /* 501 */
    H1_E_CODING_10,
    /* chunked */
    H1_E_CHUNK_SIZE,
    H1_E_CHUNK_EXT,
    H1_E_CHUNK_CRLF,
    H1_E_CHUNK_OVER, /* decoded body over the limit: 413 */
    H1_E_TRAILER,
    H1_E_TRAILER_LONG, /* 431 */
    /* path, see http/uri.h */
    H1_E_PATH,
    /* responses */
    H1_E_UPGRADE_UNASKED,
    H1_E_INTERIM_MANY, /* set by the caller (case 92) */
    /* deadlines and limits that the caller enforces */
    H1_E_HEAD_TIMEOUT, /* 408, set by the caller (case 100) */
    H1_ERRORS
};

struct h1_error_info {
    uint16_t status;    /* for the client if it caused the error; a backend's errors are 502 */
    const char *reason; /* short, for the log: "bare LF in head" */
};

/* Never NULL. Takes the error positive or negated. Every such response closes the
 * connection. */
const struct h1_error_info *h1_error_info(int err);

/* Facts about the connection and the operator's choices. Zero is the strict default, except for
 * is_tls. */
struct h1_request_policy {
    bool is_tls;                 /* scheme of this connection (case 18) */
    bool refuse_10_without_host; /* case 10: 400 instead of the default virtual host */
    bool raw_targets; /* case 14: accepts bytes that should be percent-encoded; whoever forwards
                         the target encodes them (http/uri.h) */
};

/*
 * Progress of an unfinished head. Zero it before the first byte of every head. The parser keeps
 * the partly filled request next to it; nobody else reads or changes either before the head is
 * complete. The buffer may move or grow between calls (slices are adjusted), but its bytes must
 * not change.
 */
struct h1_scan {
    uintptr_t base; /* where buf was at the last call */
    size_t line;    /* start of the first line that is not yet parsed */
    size_t seen;    /* number of bytes of buf already scanned */
    uint64_t once;  /* set of field ids seen */
    uint8_t stage;  /* 0: start line, 1: fields */
    uint8_t lines;  /* field lines seen, dropped ones included */
    uint8_t flags;  /* private to the parser */
    uint8_t names;  /* number of names in Connection lines */
    uint16_t named; /* bytes of these lines' values */
};

/*
 * Parses a request head at buf[0, len). Returns its length (> 0; the body or the next request
 * starts there; one leading CRLF is included), 0 if more bytes are needed, or -enum h1_error.
 * Call it again with all bytes so far and the same scan. After an error neither may be used
 * again.
 */
ssize_t h1_request_parse(struct http_request *, const char *buf, size_t len, struct h1_scan *,
                         const struct http_limits *, const struct h1_request_policy *);

/* Facts about the request that decide how its response is framed (RFC 9112 6.3). */
struct h1_response_context {
    uint8_t method;     /* enum http_method of the request */
    struct str upgrade; /* the token sent to the backend, empty: none (case 93) */
};

/* Like h1_request_parse(), for a response head. Any error: 502, close the backend
 * connection. */
ssize_t h1_response_parse(struct http_response *, const char *buf, size_t len, struct h1_scan *,
                          const struct http_limits *, const struct h1_response_context *);

/* Decoder of one chunked body (RFC 9112 7.1); embedded, needs no release. keep, keep_cap:
 * buffer that collects the trailer section unchanged; set after h1_chunked_init() if wanted,
 * NULL: dropped. */
struct h1_chunked {
    char *keep;
    uint32_t keep_cap, kept;
    uint64_t left;     /* of the current chunk */
    uint64_t total;    /* decoded so far, with the whole of each chunk that has begun */
    uint32_t ext;      /* extension bytes so far */
    uint32_t trailers; /* trailer bytes so far */
    uint8_t state;     /* private */
    uint8_t digits;    /* of the current size */
    bool done;         /* the last CRLF was consumed: the body is complete */
};

void h1_chunked_init(struct h1_chunked *);

/*
 * Consumes bytes from in[0, n) up to and including one span of body data. Returns the number
 * consumed (all n, or fewer if a span was found or the body is done) or -enum h1_error; *data
 * is the span within `in`, empty if there was none. Call it in a loop while not done and bytes
 * are left; bytes left after done belong to the next message. Trailers are checked, and dropped
 * unless they are collected (cases 61-69).
 */
ssize_t h1_chunked_next(struct h1_chunked *, const char *in, size_t n, struct str *data,
                        const struct http_limits *);

/*
 * Decodes in place: the body data of buf[0, n) is moved together to buf[0, *body), so that tiny
 * chunks become one span (case 66). Returns the bytes consumed (== n unless done) or -enum
 * h1_error. If fewer than n are consumed, the surplus starts at buf + returned.
 */
ssize_t h1_chunked_squeeze(struct h1_chunked *, char *buf, size_t n, size_t *body,
                           const struct http_limits *);

/*
 * Selects the part of a response's trailers that may go to a client which asked for them. in:
 * the whole section as received, without the last empty line. Fields for framing, routing,
 * authentication, cookies, caching, and others that must be known before a body (RFC 9110
 * 6.5.1) are left out; if anything breaks the rules for fields, or if there are more of them
 * than fit, everything is. The fields, which point into `in`, go to out[0, room); returns how
 * many these are.
 */
size_t h1_trailers(struct http_field *out, size_t room, const char *in, size_t n);

/* Encoder: "<hex>\r\n" before n > 0 bytes of data and H1_CHUNK_TAIL after them; the end is
 * H1_CHUNK_LAST. Returns the length written, at most H1_CHUNK_HEAD_MAX. */
#define H1_CHUNK_HEAD_MAX 18
#define H1_CHUNK_TAIL     "\r\n"
#define H1_CHUNK_LAST     "0\r\n\r\n"
size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], size_t n);

/* Puts a chunk's framing around n bytes, and the end of the body behind them if last. There is
 * room for H1_CHUNK_HEAD_MAX bytes before them, and for both ends behind; *data moves. Returns
 * the framed length. */
size_t h1_chunk_frame(char **data, size_t n, bool last);

#endif
