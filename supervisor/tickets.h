/* The keys of TLS session tickets: made here, given to each worker over its
 * control socket, so that a session resumes on every worker; never in the
 * table, never on disk, and wiped from what other children get by fork. */
#ifndef SUPERVISOR_TICKETS_H
#define SUPERVISOR_TICKETS_H

struct ticket_ring;

/* Maps the ring and fills it. 0 or -1 with errno. */
int tickets_init(struct ticket_ring **ring);

/* next becomes current, current previous; the retired one is wiped. */
void tickets_rotate(struct ticket_ring *ring);

/* Wipes all and unmaps; takes NULL. */
void tickets_release(struct ticket_ring *ring);

#endif
