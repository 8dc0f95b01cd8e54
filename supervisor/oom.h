/* Which process the kernel ends first when memory runs out (oom_score_adj). */
#ifndef SUPERVISOR_OOM_H
#define SUPERVISOR_OOM_H

#include "shm/table.h"

/* Makes this process one that is ended late (the supervisor) or early (children, whose
 * successors are there within milliseconds), relative to what the service was started with.
 * Call it before privileges are dropped: only a privileged process may lower the value, and
 * afterwards /proc/self belongs to root. If it cannot be set, it stays as it is. */
void oom_prefer(enum kind kind);

/* What the service was started with, for the binary that goes on: oom_adopt() before the first
 * oom_prefer(). */
int oom_at_start(void);
void oom_adopt(int value);

#endif
