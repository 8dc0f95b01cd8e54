/* Listening sockets: for each address one SO_REUSEPORT socket per worker slot.
 *
 * The supervisor opens and owns them, so that connections queued on a socket survive the worker
 * that was to accept them. Across reloads a socket is kept by its address and never bound
 * again. When there are fewer workers than before, the sockets of the slots that are gone go to
 * the workers that stay (worker w serves sockets w, w + workers, ...): closing them would reset
 * what is queued.
 *
 * Supervisor only. Sets share listeners: each generation holds a set, and a listener that no
 * set holds is closed. A listener that is no longer in the current set has no sockets and is
 * not used again: its address would get a new one. */
#ifndef SUPERVISOR_LISTENERS_H
#define SUPERVISOR_LISTENERS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/conf/conf.h"
#include "shm/heritage.h"

struct listener {
    struct listener *next;
    uint32_t refs;
    struct sockaddr_storage asked; /* as configured; compared with the configuration */
    struct sockaddr_storage addr;  /* as bound: 0.0.0.0 on a host without IPv6 */
    socklen_t addr_len;
    bool dual;
    uint32_t n; /* number of sockets */
    int fd[CONF_MAX_WORKERS];
};

/* A worker whose supervisor was killed closes its sockets within milliseconds if it is not
 * busy. */
enum { LISTENERS_PATIENCE_MS = 2000 };

/* All open listeners; {NULL} at first. */
struct listeners {
    struct listener *first;
    uint32_t patience_ms; /* how long to wait, in total, for addresses that are still in use */
};

struct listener_set {
    uint32_t n;
    struct listener *v[CONF_MAX_LISTENERS]; /* [index in conf->listen] */
    uint32_t sockets[CONF_MAX_LISTENERS]; /* number of sockets of each when the set was taken */
};

/* Opens what conf asks for and is not open yet, and fills the set. All errors are appended to
 * errs; then it returns -1, and nothing has changed for other sets. */
int listeners_take(struct listeners *all, const struct conf *conf, uint32_t workers,
                   struct listener_set *set, struct conf_errors *errs);

/* Releases a set and closes listeners that no set holds. */
void listeners_give(struct listeners *all, struct listener_set *set);

/* After the set of a failed reload was released: closes the sockets that only its workers would
 * have served. */
void listeners_trim(struct listener_set *set);

/* Is this listener in the set? */
bool listeners_has(const struct listener_set *set, const struct listener *listener);

/* Closes at once the sockets of all listeners that are not in this set: workers that still
 * drain have their own copies. */
void listeners_drop(struct listeners *all, const struct listener_set *set);

/* Closes every socket at once: after a graceful stop has begun, nothing new may be queued. */
void listeners_close_all(struct listeners *all);

/* Fills in the sockets that worker `slot` of `workers` serves. Returns how many. */
uint32_t listeners_of_slot(const struct listener_set *set, uint32_t slot, uint32_t workers,
                           struct heritage_listener out[HERITAGE_LISTENERS]);

#endif
