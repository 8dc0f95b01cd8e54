/*
 * HTTP/1.x parsers (RFC 9112): incremental, zero-copy, no allocation, no I/O, strict.
 *
 * Worker only. The caller owns the buffer and all structs. What is accepted is exactly what the
 * rewriter can say again; everything ambiguous is refused (cases 1-98 of the hostile list, data
 * in t/hostile/cases.txt). Sizes are bytes.
 *
 * What the parser cannot see, and who does it: 28 (host against SNI: worker asks route/tls,
 * then answers with H1_E_MISDIRECTED); 57, 67, 97 (end of input inside a message: the
 * connection code aborts both sides); 58 (early response); 59 (one 100 per request, close when
 * a final status comes first); 60 (pipelining: surplus bytes after a message are the next head,
 * parsed from a fresh http1_scan); 92 (counts interim heads, H1_INTERIM_MAX; sends none
 * to 1.0 clients); 94, 95 (bytes after the end: close the backend connection); 99 (retry); 100
 * (deadline: 408). OPTIONS * (20) comes back as HTTP_TARGET_ASTERISK: answer 204 locally.
 */
#ifndef WORKER_HTTP_H1_H
#define WORKER_HTTP_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/http.h"

/* A backend that sends more interim (1xx) heads than this to one request is ill: 502 (case 92).
 */
#define H1_INTERIM_MAX 8

/* Bounds of one head and its body. Fill with HTTP_LIMITS_DEFAULT, then lower or raise. */
struct http_limits {
    uint32_t target;    /* request target: 414 */
    uint32_t field;     /* one field line: 431 */
    uint32_t head;      /* whole head, start line included: 431. Head buffers need this size */
    uint32_t fields;    /* field lines, below HTTP_FIELDS_MAX: 431 */
    uint32_t chunk_ext; /* all chunk extensions of one body: 400 */
    uint32_t trailers;  /* trailer section: 431 */
    uint64_t body; /* declared Content-Length: 413; 0: no bound. Chunked: see http1_chunked */
};

#define HTTP_FIELDS_LIMIT  100
#define HTTP_TARGET_MAX    (8 * 1024)
#define HTTP_TARGET_MOST   (32 * 1024) /* that .target may be raised to */
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

/* All Connection lines of a head together: each of its fields is compared with each name that
 * these nominate, so the product has to be small. Who needs three names needs no thirty. */
#define H1_CONNECTION_NAMES 32   /* names, empty ones included: 431 */
#define H1_CONNECTION_BYTES 1024 /* their values: 431 */

/* Longest method token: the IANA registry's longest has 17 bytes. More: 400. */
#define H1_METHOD_MAX 32

/* Codings in one Transfer-Encoding: 400. RFC 9110 knows five. */
#define H1_CODINGS_MAX 8

/* What is wrong. Functions return these negated. h1_error_info() has status and words. */
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
    H1_E_MISDIRECTED, /* 421, for the caller's use (case 28) */
    /* fields */
    H1_E_FIELD_SPACE, /* space around the name, or a line that starts with space: obs-fold */
    H1_E_FIELD_COLON,
    H1_E_FIELD_NAME,
    H1_E_FIELD_LONG,  /* 431 */
    H1_E_HEAD_LONG,   /* 431 */
    H1_E_FIELDS_MANY, /* 431 */
    H1_E_CONNECTION,  /* too many names in Connection: 431 */
    H1_E_FIELD_TWICE, /* a field that may come once only */
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
    H1_E_CHUNK_OVER, /* decoded body over the bound: 413 */
    H1_E_TRAILER,
    H1_E_TRAILER_LONG, /* 431 */
    /* path, see http/uri.h */
    H1_E_PATH,
    /* responses */
    H1_E_UPGRADE_UNASKED,
    H1_E_INTERIM_MANY, /* for the caller's use (case 92) */
    /* deadlines and bounds which the caller keeps */
    H1_E_HEAD_TIMEOUT, /* 408, for the caller's use (case 100) */
    H1_ERRORS
};

struct h1_error_info {
    uint16_t
        status; /* what the client gets when the client did it; a backend's errors are 502 */
    const char *reason; /* short, for the log: "bare LF in head" */
};

/* Never NULL. Takes the error positive or negated. Every such answer closes the connection. */
const struct h1_error_info *h1_error_info(int err);

/* What the connection knows and the operator wants. Zero is the strict default but for is_tls.
 */
struct h1_request_policy {
    bool is_tls;                 /* scheme of this connection (case 18) */
    bool refuse_10_without_host; /* case 10: 400 instead of the default virtual host */
    bool raw_targets; /* case 14: bytes that should be percent-encoded pass; who forwards the
                         target encodes them (http/uri.h) */
};

/*
 * Where an unfinished head stands. Zero it before the first byte of every head. The parser
 * keeps the half-filled request beside it; nobody else reads or changes either before it is
 * done. The buffer may move or grow between calls (slices are carried over), its bytes may not
 * change.
 */
struct h1_scan {
    uintptr_t base; /* where buf was at the last call */
    size_t line;    /* start of the first line that is not parsed yet */
    size_t seen;    /* bytes of buf looked at */
    uint64_t once;  /* set of field ids seen */
    uint8_t stage;  /* 0: start line, 1: fields */
    uint8_t lines;  /* field lines seen, dropped ones included */
    uint8_t flags;  /* private to the parser */
    uint8_t names;  /* in Connection lines */
    uint16_t named; /* bytes of these */
};

/*
 * Parse a request head at buf[0, len). Returns its length (> 0; the body or the next request
 * starts there; one leading CRLF is counted in), 0 when more bytes are needed, or -enum
 * http1_error. Call again with all bytes so far and the same scan. After an error neither may
 * be used again.
 */
ssize_t h1_request_parse(struct http_request *, const char *buf, size_t len, struct h1_scan *,
                         const struct http_limits *, const struct h1_request_policy *);

/* What the request was, which decides how a response is framed (RFC 9112 6.3). */
struct h1_response_context {
    uint8_t method;     /* enum http_method of the request */
    struct str upgrade; /* the token passed on to the backend, empty when none was (case 93) */
};

/* As h1_request_parse, for a response head. Any error: 502, close the backend connection. */
ssize_t h1_response_parse(struct http_response *, const char *buf, size_t len, struct h1_scan *,
                          const struct http_limits *, const struct h1_response_context *);

/* Decoder of one chunked body (RFC 9112 7.1); embedded, no release needed. keep, keep_cap:
 * where the trailer section is collected as it came; NULL after h1_chunked_init(): it is
 * not. */
struct h1_chunked {
    char *keep;
    uint32_t keep_cap, kept;
    uint64_t left;     /* of the current chunk */
    uint64_t total;    /* decoded so far, chunks begun included */
    uint32_t ext;      /* extension bytes so far */
    uint32_t trailers; /* trailer bytes so far */
    uint8_t state;     /* private */
    uint8_t digits;    /* of the current size */
    bool done;         /* the last CRLF was consumed: the body is complete */
};

void h1_chunked_init(struct h1_chunked *);

/*
 * Consume bytes from in[0, n) up to and including one span of body data. Returns the number
 * consumed (all n, or fewer when a span came or the body is done) or -enum h1_error; *data
 * is the span within `in`, empty when there was none. Loop while not done and bytes are left;
 * what is left after done belongs to the next message. Trailers are checked, and dropped unless
 * they are to be kept (cases 61-69).
 */
ssize_t h1_chunked_next(struct h1_chunked *, const char *in, size_t n, struct str *data,
                        const struct http_limits *);

/*
 * Decode in place: body data of buf[0, n) is moved together at buf[0, *body), tiny chunks
 * become one span (case 66). Returns bytes consumed (== n unless done) or -enum h1_error.
 * When fewer than n are consumed, the surplus starts at buf + returned.
 */
ssize_t h1_chunked_squeeze(struct h1_chunked *, char *buf, size_t n, size_t *body,
                           const struct http_limits *);

/*
 * What of a response's trailers may go to a client that asked for them: the whole section as it
 * came, without the last empty line. Fields for framing, routing, authentication, cookies,
 * caching, and what else must be known before a body (RFC 9110 6.5.1) are left out; where
 * anything breaks the rules of fields, all are. Writes at most n bytes to out, which may not be
 * `in`; returns how many.
 */
size_t h1_trailers(char *out, const char *in, size_t n);

/* Encoder: "<hex>\r\n" before n > 0 bytes of data and H1_CHUNK_TAIL after; the end is
 * H1_CHUNK_LAST. Returns the length written, at most H1_CHUNK_HEAD_MAX. */
#define H1_CHUNK_HEAD_MAX 18
#define H1_CHUNK_TAIL     "\r\n"
#define H1_CHUNK_LAST     "0\r\n\r\n"
size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], size_t n);

#endif
