/* The table of child kinds and the one launcher. */
#ifndef SUPERVISOR_LAUNCH_H
#define SUPERVISOR_LAUNCH_H

#include <sys/types.h>

#include "shm/heritage.h"
#include "supervisor/privilege.h"

/* Remembers where argv is in memory, so that a child can show its title in ps(1). Once, at the
 * start of main(). */
void launch_init(int argc, char **argv);

/* Forks a child that becomes what heritage->kind says. The child closes every descriptor that
 * the heritage does not name, drops its privileges, seals the table and never returns. Returns
 * the pid, or -1 with errno. */
pid_t launch(const struct heritage *heritage, const struct identity *identity);

#endif
