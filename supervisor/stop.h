/* The end of the service. First the workers and the restarter finish, then healthd and acmed.
 * Supervisor only. */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

#include <stdbool.h>

struct supervisor;

/* Begins a graceful stop; `now`: kills all children instead, also when one has begun. */
void stop_begin(struct supervisor *sup, bool now);

/* Once stopping, after each turn of the loop: goes on, and ends the loop when no child is
 * left. */
void stop_continue(struct supervisor *sup);

#endif
