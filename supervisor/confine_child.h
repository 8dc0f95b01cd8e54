/* What workers and healthd give up for good, because they handle bytes of strangers: programs,
 * files, other processes, code that was not in the program, and every kind of socket that they
 * do not need. System call filters do that, and Landlock where the kernel has it
 * (docs/supervision.md lists what each may). */
#ifndef SUPERVISOR_CONFINE_CHILD_H
#define SUPERVISOR_CONFINE_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf;

/* Child, after privilege_drop(), as its kind (worker or healthd). Adds to *sandbox, a set of
 * enum sandbox_bits, what holds from now on. 0; also, after a log line, on a kernel that has no
 * filters. -1 with errno after a log line: the kernel has them and they failed, or the child
 * could do what is forbidden; it must exit. */
int confine_child(enum kind kind, const struct conf *conf, uint32_t *sandbox);

#endif
