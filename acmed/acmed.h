/* acmed: the process that gets and keeps certificates.
 *
 * One per configuration generation, forked by the supervisor; one thread. It
 * alone writes the certificate rows and the store. See README.md. */
#ifndef ACMED_ACMED_H
#define ACMED_ACMED_H

struct heritage;

/* The whole life of the process: publishes what the store holds, makes and
 * imports what is missing, watches, until it is told to drain or the
 * supervisor is gone; exits 0. */
_Noreturn void acmed_main(const struct heritage *heritage);

#endif
