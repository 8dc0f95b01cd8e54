/* healthd: the process that probes every backend and decides its health.
 *
 * One per configuration generation, forked by the supervisor; one thread of
 * ours (libcurl resolves names in short-lived ones). It alone writes the
 * health rows. See README.md. */
#ifndef HEALTHD_HEALTHD_H
#define HEALTHD_HEALTHD_H

struct heritage;

/* The whole life of the process: takes over the verdicts of its predecessor,
 * probes until it is told to drain or the supervisor is gone, exits 0. */
_Noreturn void healthd_main(const struct heritage *heritage);

#endif
