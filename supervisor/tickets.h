/* The keys of TLS session tickets. Created here and given to each worker over its control
 * socket, so that a session resumes on every worker. Never in the table, never on disk, and
 * wiped from what other children inherit by fork. */
#ifndef SUPERVISOR_TICKETS_H
#define SUPERVISOR_TICKETS_H

struct ticket_ring;

/* Maps the ring and fills it with fresh keys. 0 or -1 with errno. */
int tickets_init(struct ticket_ring **ring);

/* next becomes current, current becomes previous; the old previous is wiped. */
void tickets_rotate(struct ticket_ring *ring);

/* Wipes and unmaps it; takes NULL. */
void tickets_release(struct ticket_ring *ring);

#endif
