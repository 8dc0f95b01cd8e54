/*
 * The head that a backend gets, as HTTP/1.1 text, from a parsed request.
 *
 * Worker only, pure. Everything goes through one bounded builder; nothing is sized in one pass
 * and copied in another. Framing and hop-by-hop fields are never copied, but always generated
 * from what was parsed. Our own output, parsed again by http/h1.h, means the same
 * (t/fuzz/heads.c checks that).
 */
#ifndef WORKER_HTTP_FORWARD_H
#define WORKER_HTTP_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/http.h"
#include "worker/http/text_out.h"

struct origin;

/* Upper bound for the growth of a forwarded head: what we add ourselves. */
#define FORWARD_GROWTH_MAX 4096

struct forward_info {
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
    uint64_t drop; /* further fields that are not passed on: a set of enum http_field_id */
    /* Of the client's certificate; empty: none. */
    struct str client_subject, client_fingerprint;
    struct str user; /* X-Remote-User, empty: none. With it, drop has the client's own */
    bool expects;    /* the client sends the body only after the backend's 100 Continue */
    bool close;      /* ask the backend to close the connection after this request */
};

/* Head for the backend. Returns its length, or -1 on overflow (431). */
ssize_t forward_request(struct text_out *, const struct http_request *,
                        const struct forward_info *);

/* A part of the request's target as it is forwarded: raw bytes become percent-encoded. */
void forward_target(struct text_out *, const struct http_request *, struct str part);

#endif
