/* How the rows of a backend say that it may be used now. Pure. */
#ifndef SHM_ADMISSION_H
#define SHM_ADMISSION_H

#include <stdint.h>

#include "shm/table.h"

enum { SLOW_START_PERMILLE = 100 }; /* of its weight, at the beginning of slow start */

/* How workers treat the backend, by admin override, recovery phase and end of the drain.
 * READY: any request. DRAIN: requests of its sessions only, or those that no other backend
 * can take. MAINT: nothing new, not even of its sessions; a drain that has ended and a
 * restart also mean this. */
enum admin_state admission_state(const struct admin_row *admin);

/* Is a drain under way, or ended but not taken back, by an override or by recovery? */
bool admission_drains(const struct admin_row *admin);

/* The part of its weight, in 1000ths, that it gets in slow start: rises from
 * SLOW_START_PERMILLE in equal steps. All of it when risen_ms or slow_start_ms is 0. */
uint32_t admission_permille(uint64_t risen_ms, uint32_t slow_start_ms, uint64_t now_ms);

#endif
