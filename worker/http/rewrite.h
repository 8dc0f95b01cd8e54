/*
 * Heads as HTTP/1.1 text: from a parsed request the head for the backend, and the head of a
 * response as it was decided (http/headers.h).
 *
 * Worker only, pure. Everything goes through one bounded builder; nothing is sized in one pass
 * and copied in another. Framing and hop-by-hop fields are never copied, but always generated
 * from what was parsed. Our own output, parsed again by http/h1.h, means the same
 * (t/fuzz/rewrite.c checks that).
 */
#ifndef WORKER_REWRITE_H
#define WORKER_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/http.h"

struct origin;

/* Bounded builder over the caller's memory. After an overflow, `over` stays set and nothing
 * more is written. */
struct rewrite_out {
    char *p;
    size_t n;
    size_t cap;
    bool over;
};

static inline void rewrite_out_init(struct rewrite_out *out, char *buf, size_t cap)
{
    *out = (struct rewrite_out){.p = buf, .cap = cap};
}

/* Upper bound for the growth of a rewritten head: what we add ourselves. */
#define REWRITE_GROWTH_MAX 4096

struct rewrite_request_info {
    struct str path;          /* mapped, normalised (route_map_path); without the query */
    struct str host;          /* Host to send; empty: the client's authority */
    struct str fallback_host; /* used if the client sent none (HTTP/1.0, case 10): backend's
                                 host:port */
    struct str peer_ip;       /* text, IPv6 without brackets */
    bool peer_trusted; /* its X-Forwarded-* and Forwarded are kept, and ours are appended */
    const struct origin *origin; /* the values for these fields; worker/http/origin.h */
    struct str request_id;       /* X-Request-Id, empty: none */
    const struct str *cuts; /* [ncuts] parts to remove from the Cookie fields, in their order */
    unsigned ncuts;
    bool expects; /* the client sends the body only after the backend's 100 Continue */
    bool close;   /* ask the backend to close the connection after this request */
};

/* Head for the backend. Returns its length, or -1 on overflow (431). */
ssize_t rewrite_request(struct rewrite_out *, const struct http_request *,
                        const struct rewrite_request_info *);

/*
 * Writes https://host[:port]/target, for the redirect from plain HTTP, to out: the host that
 * the client named (without its port, not empty), and `port` if it is not 443. Length or -1.
 */
ssize_t rewrite_https_location(char *out, size_t cap, const struct http_request *,
                               struct str host, uint16_t port);

#endif
