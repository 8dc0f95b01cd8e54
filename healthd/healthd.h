/* healthd: the process that probes every backend and decides its health.
 *
 * One per configuration generation, forked by the supervisor; one thread of our own (libcurl
 * resolves names in short-lived ones). It alone writes the health rows. See README.md. */
#ifndef HEALTHD_HEALTHD_H
#define HEALTHD_HEALTHD_H

struct heritage;

/* The whole life of the process: takes over the verdicts of its predecessor, and probes until
 * it is told to drain or the supervisor is gone. Exits 0. */
_Noreturn void healthd_main(const struct heritage *heritage);

#endif
