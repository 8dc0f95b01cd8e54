/* acmed: the process that obtains certificates and keeps them up to date.
 *
 * One per configuration generation, forked by the supervisor; one thread. Only acmed writes the
 * certificate rows and, with `pasgate cert import` and `cert delete`, the store. See README.md.
 */
#ifndef ACMED_ACMED_H
#define ACMED_ACMED_H

struct heritage;

/* The whole life of the process: publishes what the store holds, makes and imports what is
 * missing, and watches it until it is told to drain or the supervisor has ended. Exits 0. */
_Noreturn void acmed_main(const struct heritage *heritage);

#endif
