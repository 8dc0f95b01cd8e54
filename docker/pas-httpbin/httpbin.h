/*
 * pas-httpbin: a stand-in for PAS for OpenEdge that runs the ABL program of the
 * same name. It is a test backend: it sends the responses that PAS sends, keeps
 * connections the way its Tomcat does, records what it received, and shows
 * faults on command.
 *
 * One process, one thread, one epoll loop; libc only, no header of pasgate.
 *
 *   main.c   options, listeners, the loop, timers      wire.c  parsing, buffers, sums
 *   conn.c   a connection: reading, writing, bodies    web.c   paths, streamed responses
 *   ws.c     WebSocket echo                            answer.c  responses of PAS
 *   body.c   request bodies                            ctl.c    faults and records
 *
 * Memory: an idle connection owns only its struct. Reading and rendering use one
 * shared buffer each; only bytes that could not be parsed or written at once are
 * copied to the connection.
 */
#ifndef PAS_HTTPBIN_H
#define PAS_HTTPBIN_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, accept4 */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;

/* ---- wire.c: slices, growing buffers, the request head, sums ---- */

enum {
    MAX_HEADERS = 128,
    HEAD_MAX = 64 * 1024, /* bytes of a request head; a longer one gets 400, as from Tomcat */
};

struct str {
    const char *p;
    size_t n;
};

/* A growing byte buffer; lack of memory ends the process. */
struct buf {
    char *p;
    size_t n, size;
};

void buf_add(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_num(struct buf *b, uint64_t v);
void buf_hex(struct buf *b, uint64_t v, int digits);
/* Adds s as a JSON string with its quotes. */
void buf_json(struct buf *b, struct str s);

bool str_is(struct str s, const char *lit); /* byte for byte */
bool str_is_nocase(struct str s, const char *lit);
bool str_has_prefix(struct str s, const char *lit);

struct header {
    struct str name, value;
};

/* A parsed head. Every slice points into the bytes that were parsed. */
struct req {
    struct str method, target, path, query, raw;
    struct header hdr[MAX_HEADERS];
    unsigned nhdr;
    bool http10, close, keepalive, chunked, expect, upgrade;
    uint64_t length;
};

/* Parses a whole head with its empty line. Returns 0, or the status with which to refuse it. */
int req_parse(struct req *r, const char *p, size_t n);
/* The first field of that name; {NULL, 0} if there is none. */
struct str req_header(const struct req *r, const char *name);
/* A query argument, percent-decoded into a shared ring of small buffers; "" if absent. */
const char *req_arg(const struct req *r, const char *name);
uint64_t req_arg_num(const struct req *r, const char *name, uint64_t deflt);
/* Walks the query. Returns false at the end; *at starts at 0. The slices are not decoded. */
bool req_next_arg(const struct req *r, size_t *at, struct str *name, struct str *value);
size_t percent_decode(char *to, size_t size, struct str from);

uint32_t crc32_add(uint32_t crc, const void *p, size_t n); /* start with 0; zlib's crc32 */
void sha1(const void *p, size_t n, unsigned char out[20]);
void base64(struct buf *b, const unsigned char *p, size_t n);

/* The test pattern: byte i of every download. The period is a prime, so that a
 * piece that is lost or doubled at a power of two is noticed. */
enum { PATTERN_PERIOD = 65521, PATTERN_RUN = 65536 };
void pattern_init(void);
const char *pattern_at(uint64_t offset); /* at least PATTERN_RUN bytes follow */

/* ---- conn.c ---- */

enum mode {
    MODE_OK,
    MODE_REFUSE,
    MODE_HANG,
    MODE_SLOW,
    MODE_RESET,
    MODE_500,
    MODE_CUT,
    MODE_EMPTY,
    MODE_SLOWPING,
    MODE_PINGFAIL,
    MODE_GARBAGE,
    MODE_HANGAPP,
    MODE_HALF,
    MODE_TRICKLE,
    MODE_COUNT
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_WS, CONN_LINGER };
enum body_state { BODY_LENGTH, BODY_SIZE, BODY_EXT, BODY_DATA, BODY_CRLF, BODY_TRAILER };
enum sink { SINK_SUM, SINK_ECHO, SINK_DROP };
enum timer { TIMER_NONE, TIMER_HOLD, TIMER_TICK, TIMER_CLOSE };

/* A body that is generated while it is written: `n` bytes of the pattern. */
struct stream {
    uint64_t off, end; /* on the wire, including chunk framing */
    uint64_t n;
    bool chunked;
    char tail[12]; /* size line of the last chunk, which is shorter */
    uint8_t ntail;
};

struct conn {
    int fd;        /* -1: closed, freed at the end of this round */
    bool ctl;      /* accepted on the control port: faults do not apply */
    bool readable; /* reported by epoll, and no short read since */
    bool eof;
    bool closing; /* close when everything is written */
    bool held;    /* nothing is read or written until the hold ends */
    uint32_t requests;

    enum conn_state state;
    enum body_state body;
    enum sink sink;
    enum mode mode; /* for the current request */
    uint64_t body_left, body_seen;
    uint32_t crc;
    bool echo_chunked;
    uint32_t trailer_n;
    struct buf head; /* of the request whose body is arriving */
    struct buf keep; /* first bytes of that body, for POST /post */

    struct buf in, out; /* bytes that are not parsed or not written yet */
    struct stream stream;
    unsigned ticks_left, ticks, tick_ms; /* a response sent in pieces, tick_ms apart */
    bool tick_sse;

    unsigned char ws_head[14];
    unsigned ws_n, ws_mask_at;
    uint64_t ws_left;

    enum timer timer;
    uint64_t due; /* ms, monotonic */
    size_t heap_at;
    uint64_t active; /* ms of the last event */
    struct conn *prev, *next;
};

void conn_open(int fd, bool ctl);
void conn_event(struct conn *c, uint32_t events);
void conn_run(struct conn *c);
void conn_close(struct conn *c, bool reset);
/* Holds the response for ms milliseconds; UINT64_MAX: until the mode changes. */
void conn_hold(struct conn *c, uint64_t ms);
void conn_timer(struct conn *c);
/* Closes connections that were idle too long; returns ms until the next one is due. */
int conn_sweep(void);
void conn_close_all(const struct conn *except); /* keeps those of the control port, too */
void conn_release_held(void); /* continues those held without a time; only from the loop */
void conn_bury(void);         /* frees connections that were closed in this round */

/* The output of the connection that is being served. */
extern struct buf obuf;

/* body.c: consumes bytes of a body; at its end the state is CONN_HEAD again. */
size_t body_feed(struct conn *c, const char *p, size_t n);

/* ws.c, WebSocket: consumes bytes, adds the echo to obuf; sets c->closing at the end. */
void ws_start(struct conn *c, const struct req *r);
size_t ws_feed(struct conn *c, char *p, size_t n);

/* ---- web.c: the paths, and responses that take time ---- */

/* The head is complete. Responds at once, or prepares the connection for the body. */
void web_head(struct conn *c, const struct req *r);
/* The body is complete; the head is parsed again from c->head. */
void web_body_end(struct conn *c, const struct req *r);
/* A slice of the body. */
void web_body(struct conn *c, const char *p, size_t n);
/* Sends the next piece of a response that is sent in pieces. */
void web_tick(struct conn *c);

/* ---- answer.c: responses that are complete at once, rendered to obuf ---- */

/* A whole response: status line, common fields, extra (lines with CRLF or NULL), body. */
void answer(struct conn *c, const struct req *r, int status, const char *type,
            const char *extra, const struct buf *text);
void answer_error(struct conn *c, const struct req *r, int status, const char *text);
/* Only the head; length UINT64_MAX means chunked. */
void answer_head(struct conn *c, const struct req *r, int status, const char *type,
                 const char *extra, uint64_t length);

void page_get(struct conn *c, const struct req *r);
void page_post(struct conn *c, const struct req *r);
void page_upload(struct conn *c, const struct req *r);
void page_home(struct conn *c, const struct req *r);
void page_cookie(struct conn *c, const struct req *r);
void page_customer(struct conn *c, const struct req *r);
void page_propath(struct conn *c, const struct req *r);
void page_ping(struct conn *c, const struct req *r);
void page_health(struct conn *c, const struct req *r);
void page_redirect(struct conn *c, const struct req *r);
void page_status(struct conn *c, const struct req *r);
void page_session(struct conn *c, const struct req *r);
void page_apsv(struct conn *c, const struct req *r);

/* ---- ctl.c ---- */

struct counters {
    uint64_t calls, pings, requests, accepted, open, max_open, closed_idle, closed_limit,
        aborted;
};
extern struct counters counters;

/* The mode for this request; counts one of `n`. */
enum mode ctl_mode(bool ping);
uint64_t ctl_mode_ms(void);
unsigned ctl_mode_code(void);
double ctl_health(void);
void ctl_expire(void);   /* sets mode ok when the mode's time is over */
int ctl_expire_in(void); /* ms, or -1 */
bool ctl_healed(void);   /* true once after the mode has changed: held connections continue */
void ctl_book_open(void);
void ctl_record(const struct req *r);
void ctl_answer(struct conn *c, const struct req *r);

/* ---- main.c ---- */

struct settings {
    const char *instance, *bind;
    unsigned port, ctl_port;
    unsigned max_requests; /* per connection; 0: no limit */
    unsigned idle_ms;
    bool quiet;       /* keeps no record of request ids */
    const char *book; /* the file with that record; NULL: none */
};
extern struct settings settings;

uint64_t now_ms(void); /* of this round of the loop */
const char *now_date(void);
void timer_set(struct conn *c, enum timer kind, uint64_t ms);
void timer_clear(struct conn *c);
void loop_add(int fd, struct conn *c);
void listener_set(bool on, const struct conn *except); /* the main port */
uint64_t random_u64(void);

#endif
