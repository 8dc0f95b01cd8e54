/* HTTPS to a CA: one blocking request at a time. libcurl stays behind this header; acmed's
 * network helper only.
 *
 * Only https, no redirects, bounded in time and size. A header's value is used only when RFC
 * 8555 allows it. */
#ifndef ACMED_NET_TRANSPORT_H
#define ACMED_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"
#include "base/str.h"

enum {
    TRANSPORT_CONNECT_MS = 10000,
    TRANSPORT_TOTAL_MS = 40000, /* finalize takes long at some CAs */
    TRANSPORT_BODY_MAX = 256 * 1024,
    TRANSPORT_ALTERNATES = 8,               /* Links that are read */
    TRANSPORT_RETRY_MAX_S = 30 * 24 * 3600, /* a longer Retry-After is reduced to this */
    TRANSPORT_NONCE_SIZE = 257,
};

struct transport;

struct transport_reply {
    uint32_t status;
    struct str body;                  /* valid until the next request */
    char nonce[TRANSPORT_NONCE_SIZE]; /* "": none, or invalid */
    char location[JOB_URL_SIZE];
    bool has_retry_after;
    uint32_t retry_after_s;
    uint64_t date_wall_ms;     /* the Date header; 0: none */
    uint64_t retry_at_wall_ms; /* Retry-After given as a date; 0: not a date */
    char terms[JOB_URL_SIZE];  /* Link: rel="terms-of-service"; "": none */
    size_t n_alternates;
    char alternates[TRANSPORT_ALTERNATES][JOB_URL_SIZE]; /* Link: rel="alternate" */
};

/* Call once per process, before the first transport_new(). false: libcurl cannot start. */
bool transport_start(void);

/* ca_file: PEM roots, or "" for those of the system. give_up is called at least once a second;
 * if it returns true, the request ends. NULL: no memory. */
struct transport *transport_new(const char *ca_file, bool (*give_up)(void *), void *arg);
void transport_free(struct transport *transport);

enum transport_method { TRANSPORT_GET, TRANSPORT_HEAD, TRANSPORT_POST };

/* One request; body is a JWS, for TRANSPORT_POST only. true: there is a response, of whatever
 * status. false: none; transport_error() says why. */
bool transport_send(struct transport *transport, enum transport_method method, const char *url,
                    const char *body, struct transport_reply *reply);
const char *transport_error(const struct transport *transport);
/* Whether it failed because of the dates of a certificate, so that our clock may be the
 * cause. */
bool transport_blames_clock(const struct transport *transport);

/* Processes one line of a response's head, without its line end; used by transport_send(). A
 * status line begins anew, since what came before belongs to an interim response. Date and
 * Retry-After may come in either order. Pure. */
void transport_header(struct transport_reply *reply, struct str line, uint64_t now_wall_ms);

#endif
