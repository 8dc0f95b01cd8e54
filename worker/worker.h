/* The TLS proxy worker: one process, one loop (worker/README.md). */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

struct heritage;

/* The whole life of a worker. Never returns: exits 0 after a drain or when the
 * supervisor is gone, 1 when the host gives too little to start. */
_Noreturn void worker_main(const struct heritage *heritage);

#endif
