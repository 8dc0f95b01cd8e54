/* USR2: the supervisor becomes the binary that is on disk now, and goes on. The pid, the
 * listening sockets, the table, the children and their control sockets stay; then a reload
 * starts workers of the new binary, and the old ones drain as after any reload. So nothing is
 * lost, and an older binary takes over in the same way. Supervisor only.
 *
 *   old: state into a memfd -> `NEW --self-test` reads it -> exec, or the upgrade is refused
 *   new: adopts what the state names -> reload: trial, commit or rollback */
#ifndef SUPERVISOR_UPGRADE_H
#define SUPERVISOR_UPGRADE_H

#include <stdbool.h>

struct supervisor;

/* Remembers the path of the running program. Once, at the start of main(). */
void upgrade_init(void);

/* On USR2. */
void upgrade_request(struct supervisor *sup);
/* Begins an upgrade that was requested, when nothing prevents it. After each turn of the loop.
 * On success it does not return. */
void upgrade_continue(struct supervisor *sup);

/* The descriptor of the state that an older binary left for this process, or -1. Removes the
 * variable that names it. */
int upgrade_inherited(void);

/* `--self-test`: 0 if this binary could go on from the state in the inherited descriptor; else
 * 1, and the reason on standard output. */
int upgrade_self_test(void);

/* Fills the supervisor from that state: table, sockets, generations, children. The loop must be
 * initialised. *pidfile_fd: its lock. 0, or -1 after a log line. */
int upgrade_adopt(struct supervisor *sup, int fd, int *pidfile_fd);

#endif
