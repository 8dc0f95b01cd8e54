/* What each client has at each worker: counts by address, for limits over all workers
 * (limits.per_client).
 *
 * Each worker writes the cells of its own clients into its own row, and reads those of others:
 * the count over all workers is the sum of a client's cells. A client has its place in one set
 * of TABLE_CLIENT_SET cells, the same in every row, which a keyed hash selects: nobody without
 * the key can choose addresses that share a set. A reader takes no lock: a cell that passes to
 * another client while it is read is left out.
 *
 * A client is identified by 64 bits: the network part of an IPv6 address, or ffff:ffff and the
 * IPv4 address, which no IPv6 sender has. 0: none. */
#ifndef SHM_CLIENT_CELLS_H
#define SHM_CLIENT_CELLS_H

#include <stdint.h>
#include <sys/socket.h>

#include "shm/cap.h"
#include "shm/table.h"

/* Its name in settings, status and metrics: "connection_rate". */
const char *client_limit_name(enum client_limit limit);

/* AF_INET or AF_INET6, not mapped; 0 for anything else. */
uint64_t client_id(const struct sockaddr *address);

/* "192.0.2.7" or "2001:db8:1:2::/64"; returns out. */
enum { CLIENT_TEXT = 56 };
char *client_text(char out[CLIENT_TEXT], uint64_t client);

/* Its set, from its hash. */
static inline uint32_t client_set_of(uint64_t hash)
{
    return (uint32_t)(hash % (TABLE_CLIENTS / TABLE_CLIENT_SET));
}

/* A client's cells of several workers, added up. */
struct client_sum {
    uint64_t connections, requests, bytes;
    uint32_t connected, requested, offences, refused; /* modulo 2^32 */
    uint64_t refused_until_ms;                        /* the latest one */
};

/* Over the live workers; set: of this client. */
void client_sum(const struct table *table, const struct cap_rows *live, uint32_t set,
                uint64_t client, struct client_sum *to);

/* For the status, without the key: the clients that were refused most over all live workers,
 * then those with the most connections. Returns how many there are, at most CLIENT_TOP. */
enum { CLIENT_TOP = 8 };
struct client_top {
    uint64_t client;
    struct client_sum sum;
};
uint32_t client_top(const struct table *table, struct client_top to[CLIENT_TOP]);

#endif
