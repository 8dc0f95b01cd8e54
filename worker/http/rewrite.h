/*
 * Heads for the other side: from a parsed request the head for the backend, from a parsed
 * response the head for the client, and the proxy's own responses. HTTP/1.1 on the wire.
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

struct affinity_key;
struct origin;

/* Bounded builder over the caller's memory. After an overflow, `over` stays set and nothing
 * more is written. */
struct rewrite_out {
    char *p;
    size_t n;
    size_t cap;
    bool over;
};

void rewrite_out_init(struct rewrite_out *, char *buf, size_t cap);

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

struct rewrite_response_info {
    uint8_t client_method; /* enum http_method */
    uint8_t client_minor;  /* HTTP/1.x of the client */
    bool tls;              /* the client uses https: public scheme, HSTS */
    bool keep_alive;   /* stays open; forced off if rewrite_response_body() says UNTIL_CLOSE */
    struct str prefix; /* route_match.prefix: "/pas" */
    struct str upstream_path;     /* route_match.upstream_path: "/web" */
    struct str public_authority;  /* host[:port] as sent by the client */
    struct str host_authority;    /* Host as we received and forwarded it: behind a trusted load
                                     balancer it may differ from the one that the client sent */
    struct str backend_authority; /* host:port of the backend as configured */
    struct str hsts;              /* Strict-Transport-Security, empty: pasgate adds none */
    struct str date;              /* IMF-fixdate, for a response without one (RFC 9110 6.6.1) */
    struct str request_id;        /* X-Request-Id for the client, empty: none */
    struct str add_cookie; /* value of an additional Set-Cookie (affinity), empty: none */
    const struct affinity_key *tag_key; /* tags new sessions; NULL: none */
    uint32_t tag_id;                    /* the number of this backend, for those tags */
};

/* How the client gets the body: LENGTH and NONE unchanged; CHUNKED and UNTIL_CLOSE as chunked
 * to 1.1 clients and until close to 1.0 clients (case 98; then the connection must close). */
enum http_body rewrite_response_body(const struct http_response *, unsigned client_minor);

/* Head for the client; also for interim heads and for 101. Returns the length, or -1 on
 * overflow (502). */
ssize_t rewrite_response(struct rewrite_out *, const struct http_response *,
                         const struct rewrite_response_info *);

/* The proxy's own response: an error page, a redirect, OPTIONS *, an ACME challenge. */
struct rewrite_own_info {
    uint16_t status;
    uint8_t client_method; /* HEAD: head only, with the length */
    bool keep_alive;
    bool tls;
    struct str hsts;          /* Strict-Transport-Security, empty: none */
    const char *proxy_error;  /* Proxy-Status error type of RFC 9209 ("connection_refused");
                                 NULL: no field */
    const char *proxy_detail; /* its details parameter, NULL: none; bytes that are not printable
                                 ASCII become '?' */
    uint32_t retry_after;     /* seconds; 0: none */
    struct str location;      /* for redirects; empty: none */
    struct str allow;         /* for 405 and OPTIONS: "GET, HEAD"; empty: none */
    struct str date;          /* IMF-fixdate, empty: none */
    struct str request_id;    /* empty: none */
    struct str content_type;  /* empty: text/plain; charset=utf-8 */
    struct str body;          /* empty: "STATUS Reason\n" where a body is allowed */
    bool confined; /* of the status listener: not to be cached, nor framed by any page */
};

/* For Allow where all methods are passed on; others that we know of are passed on, too. */
#define REWRITE_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

enum { REWRITE_RETRY_AFTER_S = 2 }; /* retry_after of a 503: two probes of a backend */

/* Head and body. Returns the length, or -1 on overflow. */
ssize_t rewrite_own_response(struct rewrite_out *, const struct rewrite_own_info *);

/* "100 Continue" for the client. */
#define REWRITE_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

/*
 * Writes https://host[:port]/target, for the redirect from plain HTTP, to out: the host that
 * the client named (without its port, not empty), and `port` if it is not 443. Length or -1.
 */
ssize_t rewrite_https_location(char *out, size_t cap, const struct http_request *,
                               struct str host, uint16_t port);

#endif
