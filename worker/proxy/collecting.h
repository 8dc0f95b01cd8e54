/* Requests whose bodies are being collected, the only kind that a client can stretch while they
 * hold memory of all: together they have half of limits.memory. Beyond that, or when others
 * need what they hold, the slowest of them ends with 408. So a request without a body is never
 * refused because bodies have filled the memory. Worker only. */
#ifndef WORKER_COLLECTING_H
#define WORKER_COLLECTING_H

struct exchange;
struct worker;

/* It waits for more of its body, and is counted with what it holds. Others may end, it does
 * not. */
void collecting_wait(struct exchange *x);

/* Bytes of it are being handled: it is not ended until collecting_wait(). No effect on one that
 * is not counted. */
void collecting_hold(struct exchange *x);

/* It collects no longer. No effect on one that is not counted. */
void collecting_leave(struct exchange *x);

/* The one to end when memory is needed; NULL: there is none. */
struct exchange *collecting_slowest(const struct worker *worker);

#endif
