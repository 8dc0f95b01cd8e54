/* Reports the service's state to systemd (sd_notify(3)) without libsystemd: a datagram to the
 * socket that NOTIFY_SOCKET names. Without that variable it does nothing. Supervisor only. */
#ifndef SUPERVISOR_NOTIFY_H
#define SUPERVISOR_NOTIFY_H

#include <stdint.h>

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC, and removes them from the environment. Returns the
 * watchdog's time in ms; 0: no watchdog. */
uint64_t notify_init(void);

/* Puts them back into the environment, for the binary that this process becomes. */
void notify_export(uint64_t watchdog_ms);

/* Sends lines such as "READY=1\nSTATUS=...". */
void notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
