/* Listening sockets: for each address one SO_REUSEPORT socket per worker slot.
 *
 * The supervisor opens and owns them, so that what is queued on one survives
 * the worker that was to accept it. A socket is kept across reloads by its
 * address and never bound again. When there are fewer workers than before, the
 * sockets of the slots that are gone go to the workers that stay (worker w
 * serves sockets w, w + workers, ...): closing them would reset what is queued.
 *
 * Supervisor only. Sets share listeners: each generation holds a set, and a
 * listener that no set holds is closed. One that the current set does not hold any more has
 * no sockets, and is not taken again: its address would get a new one. */
#ifndef SUPERVISOR_LISTENERS_H
#define SUPERVISOR_LISTENERS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/conf/conf.h"
#include "shm/heritage.h"

struct listener {
    struct listener *next;
    uint32_t refs;
    struct sockaddr_storage asked; /* as in the configuration: what it is matched by */
    struct sockaddr_storage addr;  /* as bound: 0.0.0.0 on a host without IPv6 */
    socklen_t addr_len;
    bool dual;
    uint32_t n; /* sockets */
    int fd[CONF_MAX_WORKERS];
};

/* A worker whose supervisor was killed lets go of its sockets within milliseconds, if it is
 * not busy. */
enum { LISTENERS_PATIENCE_MS = 2000 };

/* All that are open; {NULL} at first. */
struct listeners {
    struct listener *first;
    uint32_t patience_ms; /* how long an address may be in use yet; waits for it */
};

struct listener_set {
    uint32_t n;
    struct listener *v[CONF_MAX_LISTENERS]; /* [index in conf->listen] */
    uint32_t sockets[CONF_MAX_LISTENERS];   /* of each, when the set was taken */
};

/* Opens what conf asks for and is not open yet, and fills the set. Errors are
 * appended to errs, all of them; then -1, and nothing changed for others. */
int listeners_take(struct listeners *all, const struct conf *conf, uint32_t workers,
                   struct listener_set *set, struct conf_errors *errs);

/* Lets go of a set; closes what no one holds. */
void listeners_give(struct listeners *all, struct listener_set *set);

/* After the set of a failed reload was given back: closes the sockets that only
 * its workers would have served. */
void listeners_trim(struct listener_set *set);

/* Is it one of the set? */
bool listeners_has(const struct listener_set *set, const struct listener *listener);

/* Closes, now, the sockets of all listeners that this set does not have: workers that still
 * drain have copies of their own. */
void listeners_drop(struct listeners *all, const struct listener_set *set);

/* Closes every socket now: at a graceful stop nothing new is to be queued. */
void listeners_close_all(struct listeners *all);

/* The sockets that worker `slot` of `workers` serves. Returns how many. */
uint32_t listeners_of_slot(const struct listener_set *set, uint32_t slot, uint32_t workers,
                           struct heritage_listener out[HERITAGE_LISTENERS]);

#endif
