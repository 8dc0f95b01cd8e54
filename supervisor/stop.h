/* The end of the service. First the workers finish, then healthd and acmed. A restart of a
 * backend that has begun is waited for beside that, at most stop_timeout, and never cut: half a
 * restart is worse than none. What lasts longer goes on without the service, and so does
 * a child that SIGKILL does not end (child_fsm_stuck()). Supervisor only. */
#ifndef SUPERVISOR_STOP_H
#define SUPERVISOR_STOP_H

#include <stdbool.h>

struct supervisor;

/* Begins a graceful stop; `now`: kills all children but the restarter instead, also when one
 * has begun. */
void stop_begin(struct supervisor *sup, bool now);

/* Once stopping, after each turn of the loop: goes on, and ends the loop when no child is
 * left. */
void stop_continue(struct supervisor *sup);

#endif
