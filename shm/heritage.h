/* Everything that a child inherits from the supervisor by fork. The child uses nothing
 * else that was in memory; descriptors that are not named here were closed. Immutable;
 * lives as long as the child. */
#ifndef SHM_HERITAGE_H
#define SHM_HERITAGE_H

#include <stdint.h>

#include "shm/table.h"

struct conf;

struct heritage_listener {
    int fd;         /* bound and listening, non-blocking; the supervisor keeps it open too */
    uint32_t index; /* in conf->listen */
};

enum { HERITAGE_LISTENERS = 64, HERITAGE_DIR = 256 };

/* Exit code (EX_IOERR) of a worker that cannot read a certificate which other workers serve: a
 * reload is refused, or the others serve the sockets of the one that it replaces. */
enum { HERITAGE_EXIT_UNREADABLE = 74 };

/* With this, a worker's doorbell rings only for a slot or a part of the retry budget that
 * became free, and not for anything new in the table: the lower half of the counter stays 0. */
#define HERITAGE_RING_FREED (UINT64_C(1) << 32)

/* The task of a restarter. */
struct heritage_action {
    uint32_t backend;              /* in conf->backends */
    char incident[TABLE_INCIDENT]; /* id: names the diagnostics, in log and table */
    char reason[TABLE_REASON];     /* why it is restarted */
    char evidence[HERITAGE_DIR];   /* existing directory for the diagnostics; "": none */
};

struct heritage {
    enum kind kind;
    int row;              /* in table->child, and in table->worker for workers */
    int slot;             /* of the listeners; workers only */
    uint32_t incarnation; /* of the row */
    uint32_t generation;  /* of conf */
    uint32_t sandbox;     /* enum sandbox_bits that hold already; the child reports them */
    const struct conf *conf;
    struct table *table;         /* already sealed for this process */
    int control_fd;              /* SOCK_SEQPACKET, non-blocking (shm/message.h) */
    int doorbell[TABLE_WORKERS]; /* eventfds of the worker rows; non-blocking */
    int doorbell_healthd, doorbell_acmed;
    int access_fd;                /* access log; -1: off. Workers only */
    const uint16_t *backend_slot; /* [conf backend index] -> slot in the table */
    uint32_t recent_room;         /* records of the worker row's ring that may be used
                                     (shm/exchange_ring.h) */
    uint32_t nlisteners;
    struct heritage_listener listener[HERITAGE_LISTENERS];
    struct heritage_action action; /* the restarter only */
};

/* Rings all workers: a verdict or a certificate changed. */
void heritage_ring_workers(const struct heritage *heritage);

#endif
