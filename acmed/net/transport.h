/* HTTPS to a CA: one blocking request at a time. libcurl stays behind this header; acmed's
 * network half only.
 *
 * Only https, no redirects, bounded in time and size. What a header says is taken only when it
 * is what RFC 8555 lets it be. */
#ifndef ACMED_NET_TRANSPORT_H
#define ACMED_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"
#include "base/str.h"

enum {
    TRANSPORT_CONNECT_MS = 10000,
    TRANSPORT_TOTAL_MS = 40000, /* finalize may take long at some CAs */
    TRANSPORT_BODY_MAX = 256 * 1024,
    TRANSPORT_ALTERNATES = 8,               /* Links that are looked at */
    TRANSPORT_RETRY_MAX_S = 30 * 24 * 3600, /* a Retry-After beyond is cut to this */
    TRANSPORT_NONCE_SIZE = 257,
};

struct transport;

struct transport_reply {
    uint32_t status;
    struct str body;                  /* until the next request */
    char nonce[TRANSPORT_NONCE_SIZE]; /* "": none, or not one */
    char location[JOB_URL_SIZE];
    bool has_retry_after;
    uint32_t retry_after_s;
    uint64_t date_wall_ms;     /* of the Date header; 0: none */
    uint64_t retry_at_wall_ms; /* Retry-After as a date; 0: it was none */
    size_t n_alternates;
    char alternates[TRANSPORT_ALTERNATES][JOB_URL_SIZE]; /* Link: rel="alternate" */
};

/* Once in the process, before the first transport_new(). false: the library does not start. */
bool transport_start(void);

/* ca_file: PEM roots, or "" for those of the system. give_up is asked at least once a second,
 * and true ends the request. NULL: no memory. */
struct transport *transport_new(const char *ca_file, bool (*give_up)(void *), void *arg);
void transport_free(struct transport *transport);

enum transport_method { TRANSPORT_GET, TRANSPORT_HEAD, TRANSPORT_POST };

/* One request; body is a JWS, for TRANSPORT_POST only. true: there is a reply, of whatever
 * status. false: there is none, and transport_error() tells why. */
bool transport_send(struct transport *transport, enum transport_method method, const char *url,
                    const char *body, struct transport_reply *reply);
const char *transport_error(const struct transport *transport);
/* It fails because of the dates of a certificate: our clock may be the cause. */
bool transport_blames_clock(const struct transport *transport);

/* A header line of a reply, without its end of line: what transport_send() reads them with.
 * reply->date_wall_ms, if it is to count for Retry-After, comes before. Pure. */
void transport_header(struct transport_reply *reply, struct str line, uint64_t now_wall_ms);

#endif
