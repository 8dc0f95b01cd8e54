/* What a new verdict changes for what runs and waits here: the view of backends is copied again
 * from the table, idle connections of a backend that is down are closed, exchanges that wait
 * for it move, those that a drain has to cut end, and whoever waits for a slot tries again.
 * Worker only. */
#ifndef WORKER_REFRESH_H
#define WORKER_REFRESH_H

struct worker;

/* At the start, and at each ring of the doorbell. */
void refresh_backends(struct worker *worker);

#endif
