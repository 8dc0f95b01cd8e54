/* The queues of requests that wait for a slot, and who gets a slot that became free.
 *
 * Nobody is called back from within: releasing a slot, or anything else that may let one that
 * waits go on, only notes that. After the event in which it happened, wait_queue_run() offers
 * what is free to those that wait, oldest first, in whichever worker they are. Worker only. */
#ifndef WORKER_WAIT_QUEUE_H
#define WORKER_WAIT_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct backend_view;
struct loop;
struct pool_view;
struct worker;

/* One that waits for a slot, as part of what the slot is for (an exchange). Zero at first. */
struct waiter {
    struct waiters *queue; /* where it waits; NULL: it does not */
    struct waiter *prev, *next;
    uint64_t since_ms; /* when it first joined a queue; set to 0 by its owner to start anew */
};

/* Those that wait, oldest first. */
struct waiters {
    struct waiter *first, *last;
    uint32_t n;
    bool stuck; /* the first one was just tried, and found no slot */
};

enum waiter_kind {
    WAITER_NEW,   /* may find the queue full */
    WAITER_AGAIN, /* had a slot before, so it was admitted already */
    WAITER_RETRY, /* the same, and it waits for the retry budget */
};

/* Do others already wait for what an exchange with that affinity target (or none) needs? */
bool wait_queue_has_others(const struct pool_view *pool, const struct backend_view *affinity);

/* The queue of a pool, of its retries, or of `affinity`. join: false = full. */
bool wait_queue_join(struct worker *worker, struct pool_view *pool,
                     struct backend_view *affinity, enum waiter_kind kind,
                     struct waiter *waiter);
void wait_queue_leave(struct worker *worker, struct pool_view *pool, struct waiter *waiter);
/* Counts and logs that a request gets no slot: the queue was full, or it waited too long. */
void wait_queue_refused(const struct pool_view *pool, const struct backend_view *affinity,
                        bool timed_out);

/* ---- what may let one go on; it does so after this event */

/* A slot there was released: it is for the one that has waited longest, in any worker. */
void wait_queue_freed(struct worker *worker, struct backend_view *backend);
/* Those of ours that wait in the pool are to try again: a new verdict, or a part of the retry
 * budget is free. */
void wait_queue_retry(struct pool_view *pool);
/* Another worker says that a slot is free. */
void wait_queue_rung(struct worker *worker);
/* A slot was to be had, but this worker and another one both stepped back (shm/cap.h): one that
 * waits looks again in a moment. */
void wait_queue_contended(struct worker *worker, struct pool_view *pool);

/* ---- the loop */

/* worker->loop.run_deferred: offers the slots that were released, and lets those that wait try
 * again (worker->retry_queued), oldest first, until no slot is left. One that waits for a
 * single backend does not hold up others that can use another. */
void wait_queue_run(struct loop *loop);

/* Once per turn of the loop, at its end: the same for what came from outside of events, and for
 * pools where it is time to look: after a slot that another worker was told of, or for which
 * one competed (wait_queue_contended()), and every WAIT_QUEUE_LOOK_MS, in case that a slot
 * became free and nobody was told. true: some exchange may have moved. look_in: how many ms the
 * loop may sleep until then, `most` if nobody waits. */
enum { WAIT_QUEUE_LOOK_MS = 100 };
bool wait_queue_look(struct worker *worker);
int wait_queue_look_in_ms(const struct worker *worker, int most);

/* The worker ends and its exchanges are cut one by one: a slot of one must not send another
 * one's request to a backend just before that is cut, too. */
void wait_queue_close(struct worker *worker);

/* Compares our cells of the pool with the queues and rewrites those that differ; returns their
 * number. */
uint32_t wait_queue_repair(struct worker *worker, struct pool_view *pool);

#endif
