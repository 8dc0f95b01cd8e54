/*
 * Decides the head that a client gets: from a backend's parsed response, or for pasgate's own.
 * The result is a list of fields and facts (struct http_head), in no protocol's form.
 *
 * Worker only, pure. Fields of the hop are taken out; a backend's names are mapped to the
 * public ones.
 */
#ifndef WORKER_HTTP_HEADERS_H
#define WORKER_HTTP_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http/http.h"
#include "worker/http/text_out.h"

struct affinity_key;

/* What decides about a response for a client. */
struct headers_info {
    bool tls;                     /* the client uses https: public scheme, HSTS */
    struct str prefix;            /* route_match.prefix: "/pas" */
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

/* The fields that a response may get in addition to the backend's. */
enum { HEADERS_ADDED_MAX = 5 };

/* The head of a backend's response for the client; also of an interim one and of 101. Changes
 * res: its fields become those of the result. Values that are changed are written to `text`;
 * everything else points to what it was given. false: there is no room (502). */
bool headers_response(struct http_head *, struct http_response *res,
                      const struct headers_info *, struct text_out *text);

/* The proxy's own response: an error page, a redirect, OPTIONS *, an ACME challenge. */
struct headers_own_info {
    uint16_t status;
    uint8_t client_method;    /* HEAD: head only, with the length */
    struct str hsts;          /* Strict-Transport-Security, empty: none */
    const char *proxy_error;  /* Proxy-Status error type of RFC 9209 ("connection_refused");
                                 NULL: no field */
    const char *proxy_detail; /* its details parameter, NULL: none; bytes that are not printable
                                 ASCII become '?' */
    uint32_t retry_after;     /* seconds; 0: none */
    struct str location;      /* for redirects; empty: none */
    struct str allow;         /* for 405 and OPTIONS: "GET, HEAD"; empty: none */
    struct str authenticate;  /* WWW-Authenticate, for 401; empty: none */
    struct str date;          /* IMF-fixdate, empty: none */
    struct str request_id;    /* empty: none */
    struct str content_type;  /* empty: text/plain; charset=utf-8 */
    struct str body;          /* empty: "STATUS Reason\n" where a body is allowed */
    bool confined; /* of the status listener: not to be cached, nor framed by any page */
};

/* For Allow where all methods are passed on; others that we know of are passed on, too. */
#define HEADERS_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

enum {
    HEADERS_RETRY_AFTER_S = 2, /* retry_after of a 503: two probes of a backend */
    HEADERS_OWN_MAX = 16,      /* fields of pasgate's own response */
};

/* Such a response: its head, which points to these fields, and its body as it is sent. */
struct headers_own {
    struct http_head head;
    struct str body;
    struct http_field fields[HEADERS_OWN_MAX];
};

/* Texts that are made for it are written to `text`; the rest points to what the info has.
 * false: there is no room. */
bool headers_own(struct headers_own *, const struct headers_own_info *, struct text_out *text);

#endif
