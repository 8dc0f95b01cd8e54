/* What the kernel forbids workers and healthd: programs, other processes, and unix sockets.
 * They meet strangers' bytes, and keep the groups of who started the service when that was not
 * root: Docker's group, say, for the restarter. */
#ifndef SUPERVISOR_CONFINE_CHILD_H
#define SUPERVISOR_CONFINE_CHILD_H

#include <stdbool.h>

/* Child, once it is who it shall be. syslog: it may open sockets for datagrams, because that is
 * where its access log goes, and syslogd may start anew. 0, also on a kernel without filters,
 * after a log line; -1 with errno after one: the child must then end. */
int confine_child(bool syslog);

#endif
