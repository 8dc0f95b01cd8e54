/* The TLS proxy worker: one process, one loop (worker/README.md). */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

struct heritage;

/* Before the process is confined: loads what libraries would load at their first use. */
void worker_prepare(void);

/* Runs a worker from start to end. Never returns: exits 0 after a drain or when the supervisor
 * is gone, 1 if the host lacks the resources to start, HERITAGE_EXIT_UNREADABLE if it would
 * serve a self-signed certificate in the place of a good one that the others have. */
_Noreturn void worker_main(const struct heritage *heritage);

#endif
