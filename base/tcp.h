/* What every TCP connection of ours gets: it ends when its peer has vanished. */
#ifndef BASE_TCP_H
#define BASE_TCP_H

#include <stdint.h>

/* Sets TCP_NODELAY, keepalive (0: none) and the limit on what is not acknowledged (0: the
 * system's), in milliseconds. Connections that a listener accepts later inherit them. What the
 * host refuses is left out. */
void tcp_prepare(int fd, uint32_t keepalive_ms, uint32_t user_ms);

#endif
