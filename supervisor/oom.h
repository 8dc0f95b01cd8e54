/* Whom the kernel ends first when memory runs out (oom_score_adj). */
#ifndef SUPERVISOR_OOM_H
#define SUPERVISOR_OOM_H

#include "shm/table.h"

/* Makes this process one that goes late (the supervisor) or early (children, whose successors
 * are there within milliseconds), relative to what the service was started with. Before
 * privileges are given up: only they may lower it. Where it cannot be set it stays. */
void oom_prefer(enum kind kind);

#endif
