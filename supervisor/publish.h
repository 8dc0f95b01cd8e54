/* The rows that several parts of the supervisor change, and the doorbell by which workers learn
 * that a row has changed. Supervisor only; calls no other part. */
#ifndef SUPERVISOR_PUBLISH_H
#define SUPERVISOR_PUBLISH_H

struct process;
struct supervisor;

/* Publishes sup->header. */
void publish_header(struct supervisor *sup);
/* Publishes the row of a child, from its struct process. */
void publish_child(const struct process *p);
/* After a change that workers act on: each reads the table again. */
void publish_ring_workers(struct supervisor *sup);

#endif
