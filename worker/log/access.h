/*
 * The access log: one line per exchange, as JSON or in Apache's "combined" format.
 *
 * One log per worker, one thread. Lines are formatted directly into a batch. The batch is
 * written with one write(2) when it is full, at the end of a loop round if it is old enough,
 * and at the end; for a pipe, with several, each of whole lines up to PIPE_BUF, so that the
 * lines of other workers cannot get between them. What a pipe, socket or full disk does not
 * take stays in the batch for the next try. If there is no room for another line, the line is
 * dropped and counted, the event log says so, and a JSON log gets a line with the number of
 * missing lines.
 *
 * No byte of a peer reaches the log unchecked: what is not printable UTF-8 is escaped, and
 * every text has a limit.
 */
#ifndef WORKER_LOG_ACCESS_H
#define WORKER_LOG_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/conf/conf.h"
#include "base/str.h"

enum {
    ACCESS_BATCH = 64 * 1024, /* size of the batch: bytes of lines written at once */
    ACCESS_FLUSH_MS = 200,    /* maximum age of the oldest line in the batch */
    ACCESS_TEXT_MAX = 1024, /* limit of input bytes of one text of a peer; "..." marks a cut */
    ACCESS_LINE_MAX = 16 * 1024 /* no line is longer: the ends of long texts are cut */
};

/* The party that ended the exchange. */
enum access_end {
    ACCESS_END_DONE,    /* none: it is complete */
    ACCESS_END_CLIENT,  /* went away, or broke the protocol */
    ACCESS_END_BACKEND, /* closed, or broke the protocol */
    ACCESS_END_PROXY,   /* pasgate refused or gave up: no backend, full queue, stopping */
    ACCESS_END_TIMEOUT, /* one of pasgate's deadlines */
    ACCESS_ENDS
};

/* The phase in which it ended. */
enum access_phase {
    ACCESS_PHASE_HEADER,  /* waiting for the request's header */
    ACCESS_PHASE_QUEUE,   /* waiting for a slot at a backend */
    ACCESS_PHASE_CONNECT, /* connecting to it */
    ACCESS_PHASE_REQUEST, /* sending the request, its body included */
    ACCESS_PHASE_WAIT,    /* waiting for the first byte of the response */
    ACCESS_PHASE_RESPONSE,
    ACCESS_PHASE_TUNNEL, /* after 101 */
    ACCESS_PHASE_DONE,
    ACCESS_PHASES
};

/* "client", "first-byte"...: as in the log. "?" for other values. */
const char *access_end_name(enum access_end end);
const char *access_phase_name(enum access_phase phase);

/*
 * One exchange, as the core saw it. Slices only need to live during the call; empty ones are
 * left out (JSON) or "-". Times are microseconds; 0: that phase was not reached, or took no
 * time.
 */
struct access_record {
    uint64_t start_wall_ms; /* arrival of the request's first byte, wall clock */
    uint64_t handshake_us; /* accept to end of the TLS handshake; only for the first exchange of
                              a connection */
    uint64_t header_us;    /* first to last byte of the request's header */
    uint64_t queue_us;     /* waiting for a slot at a backend */
    uint64_t connect_us;   /* to the backend; 0 for a kept connection */
    uint64_t first_byte_us; /* request sent to first byte of the response */
    uint64_t total_us;      /* first byte of the request to last byte of the response */

    const struct sockaddr *client; /* AF_INET, AF_INET6 (mapped: shown as IPv4); NULL unknown */
    const struct sockaddr *peer;   /* the trusted proxy that reported it; NULL: none */
    struct str method, target, host, user_agent, referer;
    struct str request_id;
    struct str user;                      /* who has logged in by HTTP Basic; empty: nobody */
    uint8_t version_major, version_minor; /* 0: the request has no readable version */

    uint16_t status;              /* sent to the client; 0: none */
    uint16_t backend_status;      /* of the last attempt; 0: none */
    uint64_t bytes_in, bytes_out; /* plaintext from and to the client, with headers */
    uint64_t body_in, body_out;   /* of these, the bodies */

    const char *pool, *backend, *backend_state; /* NULL: none was chosen */
    uint8_t attempts;                           /* number of backends tried */
    uint16_t retried;   /* reasons of the retries: a set of enum conf_retry */
    bool hedged;        /* hedged: two attempts at the same time */
    bool reused;        /* a kept connection to the backend was used */
    bool sticky;        /* affinity chose the backend */
    uint8_t end, phase; /* enum access_end, access_phase */
    const char *error;  /* RFC 9209 section 2.3 type; "backend": its own 5xx; NULL: none */
    const char *detail; /* short text for people; NULL: none */

    const char *tls_version, *tls_cipher, *sni; /* NULL: not TLS */
    const char *tls_client; /* subject of the client's certificate; NULL: none */
    bool tls_resumed;
    uint32_t connection_requests; /* number of the request on its connection: 1, 2, ... */
    uint32_t stream;              /* of HTTP/2; 0: another protocol */
    const char *upgrade;          /* "websocket" for a tunnel; NULL */
};

/*
 * Formats one line with its '\n' into out[0, cap). Returns the bytes written, never more than
 * cap, without a NUL. 0 if cap < ACCESS_LINE_MAX. Pure.
 */
size_t access_format(char *out, size_t cap, enum conf_access_format format, uint32_t slot,
                     const struct access_record *record);

struct access_log;

/* A log for worker `slot`. fd: a file, pipe, terminal, or for CONF_ACCESS_SYSLOG a connected
 * datagram socket; the log owns it (closes it at reopen and free) unless it is 1 or 2. With
 * CONF_ACCESS_SYSLOG and -1, the log connects to /dev/log itself, repeatedly if need be;
 * otherwise -1 drops all lines. NULL: no memory. */
struct access_log *access_new(const struct conf_log *conf, int fd, uint32_t slot);

/* Writes what is left, as far as that does not block. Accepts NULL. */
void access_free(struct access_log *);

/* Adds a line; may write a batch. NULL log: the access log is off. */
void access_write(struct access_log *, const struct access_record *record);

/* Called once per loop round: writes the batch if its oldest line is ACCESS_FLUSH_MS old. */
void access_flush_due(struct access_log *, uint64_t now_ms);

/* Writes the batch now: at drain and exit. */
void access_flush(struct access_log *);

/* Writes the batch to the old descriptor, then takes over the new one. The rest of a line that
 * the old one has taken in part is dropped, unless the new one leads to the same file: then it
 * follows there. */
void access_reopen(struct access_log *, int fd);

/* Number of lines lost since the start. */
uint64_t access_dropped(const struct access_log *);

#endif
