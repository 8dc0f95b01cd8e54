/* System call filters for workers and healthd: they may not start programs, act on other
 * processes or use unix sockets. They handle untrusted bytes, and when the service was not
 * started as root they keep its supplementary groups: the Docker group, for example, which the
 * restarter needs. */
#ifndef SUPERVISOR_CONFINE_CHILD_H
#define SUPERVISOR_CONFINE_CHILD_H

#include <stdbool.h>

/* Child, after privilege_drop(). syslog: it may still open datagram sockets, because its access
 * log goes there and syslogd may be restarted. unix_backends: it may connect to any unix
 * socket that its user may open, because some backend is one (conf_uses_unix()). 0; also, after
 * a log line, on a kernel without filters. -1 with errno after a log line: the child must exit.
 */
int confine_child(bool syslog, bool unix_backends);

#endif
