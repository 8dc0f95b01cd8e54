/* Probes: many at once, independent of each other. The only file of healthd that uses libcurl,
 * and the only place that resolves names of backends.
 *
 * A probe is one fresh connection: no name cache, no kept connection, no proxy from the
 * environment, no redirect followed. One thread of our own; libcurl resolves each name
 * in a short-lived thread. */
#ifndef HEALTHD_CHECK_PROBER_H
#define HEALTHD_CHECK_PROBER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shm/table.h"

struct conf_backend;
struct conf_pool;
struct prober; /* a set of running probes */

enum outcome {
    OUTCOME_PASS,
    OUTCOME_FAIL,    /* refused, cut off, or a wrong response */
    OUTCOME_TIMEOUT, /* no complete response in time */
    OUTCOME_NO_NAME, /* the name does not resolve: a fault of the backend or of DNS */
};

struct probe_result {
    uint32_t id; /* as given to prober_start() */
    enum outcome outcome;
    uint32_t took_us;
    bool has_address; /* the name resolved; on a pass the address that passed, otherwise the
                         last one tried */
    uint32_t score_permille;         /* as the HealthScanner reports it; 1000: no report */
    struct sockaddr_storage address; /* with the backend's own port, not that of the check */
    char text[TABLE_REASON];         /* the outcome in plain words */
};

/* NULL: the host has no memory. free ends running probes and accepts NULL. */
struct prober *prober_new(void);
void prober_free(struct prober *prober);

/* Starts a probe; both structs must live until its result was taken. 0, or -1 if the host lacks
 * memory: try again later.
 *
 * A name may have several addresses, of IPv4 and IPv6. prefer (NULL: none) is the one in
 * use: it is tried first, and stays in use as long as the name has it and it passes.
 * Otherwise the others are tried, and the first that passes is the result. If none does, the
 * result is that of the first attempt. */
int prober_start(struct prober *prober, uint32_t id, const struct conf_backend *backend,
                 const struct conf_pool *pool, const struct sockaddr_storage *prefer);

/* Sleeps until a probe or one of the two descriptors is ready (readable), at most max_ms,
 * and advances all probes. */
void prober_wait(struct prober *prober, int fd, int other_fd, int max_ms);

/* Takes the result of a probe that has ended; false: there is none. */
bool prober_next(struct prober *prober, struct probe_result *result);

/* The address of a backend that is given by an IPv4 or IPv6 address, or by a unix socket.
 * false: by a name. */
bool probe_literal_address(struct sockaddr_storage *address,
                           const struct conf_backend *backend);

#endif
