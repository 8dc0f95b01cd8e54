/* One judgement of the whole: may new requests come, is all well, and if not, why. The page,
 * `pasgate status`, /readyz, status.json and the metrics say the same, because all ask here.
 *
 * Any process that has the table mapped; nothing is allocated. */
#ifndef SHM_STATUS_SUMMARY_H
#define SHM_STATUS_SUMMARY_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/status/status.h"

struct summary_pool {
    char name[TABLE_NAME];
    uint32_t backends;  /* configured */
    uint32_t available; /* of these, those that are given new requests */
    /* Requests that wait now for one of them or for any; that found the queue full; that waited
     * longer than queue.timeout. The latter two are counters. */
    uint64_t queued, queue_full, queue_timeouts;
};

enum summary_tone { SUMMARY_GOOD, SUMMARY_WARN, SUMMARY_BAD };

enum { SUMMARY_TEXT = 256 };

struct summary {
    /* A worker serves, each pool has an available backend, and no certificate lacks because of
     * the store. */
    bool ready;
    bool revoked;            /* a certificate that is served was: some browsers refuse it */
    bool unstored;           /* all serves, but the store of certificates cannot be used */
    enum summary_tone tone;  /* BAD: some requests are answered with an error */
    char text[SUMMARY_TEXT]; /* "all well", or the worst that was found, printable ASCII */
    uint32_t backends, up;   /* configured; of these, those that are up and ready */
    uint32_t npools;         /* in pool[] */
    struct summary_pool pool[TABLE_POOLS];
};

void summary_read(const struct table *, const struct status_service *, struct summary *to);

/* NULL: there is no such pool. */
const struct summary_pool *summary_find(const struct summary *, const char *pool);

/* Is a backend given new requests that could go anywhere? */
bool summary_available(const struct backend_row *, const struct admin_row *,
                       const struct health_row *);

/* Why is this certificate not what the configuration asks for: "self-signed for the time
 * being", "expired", ...; NULL: it is served as it should be. index: of its row. */
const char *summary_cert(const struct table *, uint32_t index, const struct cert_row *,
                         uint64_t now_wall_ms);

/* Those that a page for people shows: all of them, or when there are too many to read, first
 * those with something wrong. In the order of the configuration. */
enum { SUMMARY_CERTS = 50 };
struct summary_certs {
    uint32_t shown[SUMMARY_CERTS]; /* rows */
    uint32_t nshown, left_out;
    uint32_t wrong; /* of those that are left out */
};
void summary_certs(const struct table *, uint64_t now_wall_ms, struct summary_certs *);
/* "974 more, all as configured", or how many are not; "" when none is left out. */
const char *summary_certs_rest(const struct summary_certs *, char out[SUMMARY_TEXT]);

#endif
