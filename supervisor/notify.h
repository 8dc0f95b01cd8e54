/* Tells systemd how we are (sd_notify(3)), by hand: a datagram to the socket
 * that NOTIFY_SOCKET names. Supervisor only. Without that variable, nothing. */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC, and removes them from the
 * environment. Returns the watchdog's time in ms; 0: none is wanted. */
uint64_t notify_init(void);

/* Sends lines such as "READY=1\nSTATUS=...". */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
