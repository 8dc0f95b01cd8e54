/*
 * The access log: one line per exchange, as JSON or in Apache's "combined" format.
 *
 * One log per worker, one thread. Lines are formatted straight into a batch, which is written
 * with one write(2) when it is full, at the end of a loop round when it is old enough, and at
 * the end (into a pipe: several, of whole lines up to PIPE_BUF, which those of other workers
 * cannot tear). What a pipe, socket or full disk does not take stays in the batch for the next
 * try; when there is no room for a further line it is dropped and counted, the event log says
 * so, and a JSON log gets a line with how many are missing.
 *
 * No byte of a peer reaches the log as it is: what is not printable UTF-8 is escaped, and every
 * text has a limit.
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
    ACCESS_BATCH = 64 * 1024,   /* bytes of lines written at once */
    ACCESS_FLUSH_MS = 200,      /* oldest line of a batch that is not full */
    ACCESS_TEXT_MAX = 1024,     /* input bytes shown of one text of a peer; the rest is "..." */
    ACCESS_LINE_MAX = 16 * 1024 /* no line is longer: the tail of long texts goes first */
};

/* Who ended the exchange. */
enum access_end {
    ACCESS_END_DONE,    /* nobody: it is complete */
    ACCESS_END_CLIENT,  /* went away, or broke the protocol */
    ACCESS_END_BACKEND, /* the same of the backend */
    ACCESS_END_PROXY,   /* we refused or gave up: no backend, full queue, stopping */
    ACCESS_END_TIMEOUT, /* one of our deadlines */
    ACCESS_ENDS
};

/* In which phase it ended. */
enum access_phase {
    ACCESS_PHASE_HEADER,  /* waiting for the request's header */
    ACCESS_PHASE_QUEUE,   /* waiting for a place at a backend */
    ACCESS_PHASE_CONNECT, /* connecting to it */
    ACCESS_PHASE_REQUEST, /* sending the request, its body included */
    ACCESS_PHASE_WAIT,    /* waiting for the first byte of the answer */
    ACCESS_PHASE_RESPONSE,
    ACCESS_PHASE_TUNNEL, /* after 101 */
    ACCESS_PHASE_DONE,
    ACCESS_PHASES
};

/* "client", "first-byte"...: as in the log. "?" beyond. */
const char *access_end_name(enum access_end end);
const char *access_phase_name(enum access_phase phase);

/*
 * One exchange, as the core saw it. Slices need to live for the call only; empty ones are left
 * out (JSON) or "-". Times in microseconds; 0: that phase was not reached, or cost nothing.
 */
struct access_record {
    uint64_t start_wall_ms; /* arrival of the first byte of the request */
    uint64_t handshake_us;  /* accept to end of TLS handshake; first exchange of a connection */
    uint64_t header_us;     /* first to last byte of the request's header */
    uint64_t queue_us;      /* waiting for a place at a backend */
    uint64_t connect_us;    /* to the backend; 0 on a kept connection */
    uint64_t first_byte_us; /* request sent to first byte of the answer */
    uint64_t total_us;      /* first byte of the request to last byte of the answer */

    const struct sockaddr *client; /* AF_INET, AF_INET6 (mapped: shown as IPv4); NULL unknown */
    const struct sockaddr *peer;   /* the trusted proxy that told of it; NULL: none */
    struct str method, target, host, user_agent, referer;
    struct str request_id;
    uint8_t version_major, version_minor; /* 0: the request had no readable version */

    uint16_t status;              /* sent to the client; 0: none */
    uint16_t backend_status;      /* of the last attempt; 0: it gave none */
    uint64_t bytes_in, bytes_out; /* plaintext from and to the client, headers included */
    uint64_t body_in, body_out;   /* of these, bodies */

    const char *pool, *backend, *backend_state; /* NULL: none chosen */
    uint8_t attempts;                           /* backends tried */
    uint16_t retried;   /* why there were several: a set of enum conf_retry */
    bool raced;         /* two of them at one time */
    bool reused;        /* the kept connection to the backend was used */
    bool sticky;        /* affinity chose the backend */
    uint8_t end, phase; /* enum access_end, access_phase */
    const char *error;  /* RFC 9209 section 2.3 type; "backend": a 5xx of its own; NULL none */
    const char *detail; /* a few words of ours for people; NULL none */

    const char *tls_version, *tls_cipher, *sni; /* NULL: not TLS */
    bool tls_resumed;
    uint32_t connection_requests; /* which request of its connection: 1, 2, ... */
    const char *upgrade;          /* "websocket" for a tunnel; NULL */
};

/*
 * Formats one line with its '\n' into out[0, cap): bytes written, never more than cap, no NUL.
 * 0 when cap < ACCESS_LINE_MAX. Pure.
 */
size_t access_format(char *out, size_t cap, enum conf_access_format format, uint32_t slot,
                     const struct access_record *record);

struct access_log;

/* A log for worker `slot`. fd: a file, pipe, terminal, or a connected datagram socket for
 * CONF_ACCESS_SYSLOG; taken over (closed at reopen and free) unless it is 1 or 2. With
 * CONF_ACCESS_SYSLOG, -1 makes it connect to /dev/log itself, again and again if need be; else
 * -1 drops all. NULL: no memory. */
struct access_log *access_new(const struct conf_log *conf, int fd, uint32_t slot);

/* Writes what is left, as far as it can be written at once. Takes NULL. */
void access_free(struct access_log *);

/* Adds a line; may write a batch. NULL log: access log is off. */
void access_write(struct access_log *, const struct access_record *record);

/* Once per loop round: writes the batch when its oldest line is ACCESS_FLUSH_MS old. */
void access_flush_due(struct access_log *, uint64_t now_ms);

/* Writes the batch now: drain, exit. */
void access_flush(struct access_log *);

/* Writes the batch to the old descriptor, then takes over a new one. */
void access_reopen(struct access_log *, int fd);

/* Lines lost since the start. */
uint64_t access_dropped(const struct access_log *);

#endif
