/* One judgement of the whole service: may new requests come, is everything healthy, and if
 * not, why. The page, `pasgate status`, /readyz, status.json and the metrics agree, because
 * all of them call this.
 *
 * Any process that has the table mapped; allocates nothing. */
#ifndef SHM_STATUS_SUMMARY_H
#define SHM_STATUS_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/status/status.h"

struct summary_pool {
    char name[TABLE_NAME];
    uint32_t backends;  /* configured */
    uint32_t available; /* of these, those that get new requests */
    uint32_t out; /* of these, in maintenance, drained or restarted; of these, by operators */
    uint32_t out_by_operators;
    uint32_t draining; /* those that are being drained and serve if no other one does */
    /* Requests that wait now for a backend of the pool; that found the queue full; that waited
     * longer than queue.timeout. The latter two are counters. */
    uint64_t queued, queue_full, queue_timeouts;
};

enum summary_tone { SUMMARY_GOOD, SUMMARY_WARN, SUMMARY_BAD };

enum { SUMMARY_TEXT = 256 };

struct summary {
    /* A worker serves, each pool has an available backend, and no certificate is
     * missing because of the store. */
    bool ready;
    bool revoked;            /* a certificate in use was revoked: some browsers refuse it */
    bool unstored;           /* everything serves, but the certificate store is unusable */
    enum summary_tone tone;  /* BAD: some requests get an error */
    char text[SUMMARY_TEXT]; /* "all well", or the worst finding, printable ASCII */
    uint32_t backends, up;   /* configured; of these, up and ready */
    uint32_t npools;         /* in pool[] */
    struct summary_pool pool[TABLE_POOLS];
};

void summary_read(const struct table *, const struct status_service *, struct summary *to);

/* NULL: there is no such pool. */
const struct summary_pool *summary_find(const struct summary *, const char *pool);

/* Does the backend get new requests that could go to any backend? */
bool summary_available(const struct backend_row *, const struct admin_row *,
                       const struct health_row *);

/* Why this certificate is not what the configuration asks for: "a self-signed one is served
 * instead", "it has expired", ...; NULL: it is as configured. index: of its row. */
const char *summary_cert(const struct table *, uint32_t index, const struct cert_row *,
                         uint64_t now_wall_ms);

/* The certificates that a page for people shows: all of them, or if there are too many, those
 * with something wrong first. In the order of the configuration. */
enum { SUMMARY_CERTS = 50 };
struct summary_certs {
    uint32_t shown[SUMMARY_CERTS]; /* rows */
    uint32_t nshown, left_out;
    uint32_t wrong; /* how many of those left out have something wrong */
};
void summary_certs(const struct table *, uint64_t now_wall_ms, struct summary_certs *);
/* "974 more, all as configured", or how many are not; "" if none is left out. */
const char *summary_certs_rest(const struct summary_certs *, char out[SUMMARY_TEXT]);

#endif
