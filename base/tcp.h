/* Socket options of all our TCP connections: a connection ends when its peer has vanished. */
#ifndef BASE_TCP_H
#define BASE_TCP_H

#include <stdint.h>

/* Sets TCP_NODELAY, keepalive (0: off) and the time limit for unacknowledged data (0: the
 * system's), both in milliseconds. Connections accepted later by a listener inherit them. An
 * option that the host refuses is left out. */
void tcp_prepare(int fd, uint32_t keepalive_ms, uint32_t user_ms);

#endif
