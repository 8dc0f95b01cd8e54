/* What the rows of a backend say about how it may be used now. Pure. */
#ifndef SHM_ADMISSION_H
#define SHM_ADMISSION_H

#include <stdint.h>

#include "shm/table.h"

enum { SLOW_START_PERMILLE = 100 }; /* of its weight, at the beginning */

/* How workers treat it, of wish, heal phase and the drain's end together: READY; DRAIN: its
 * sessions only, or whoever has nowhere else to go; MAINT: nothing new at all, not even of
 * its sessions, which is also what a drain that has ended and a restart mean. */
enum admin_state admission_state(const struct admin_row *admin);

/* Is a drain under way, or ended but not taken back: by a wish or by the heal machine? */
bool admission_drains(const struct admin_row *admin);

/* The part of its weight that it gets, of 1000: rises from SLOW_START_PERMILLE in equal
 * steps. risen_ms 0, or slow_start_ms 0: all. */
uint32_t admission_permille(uint64_t risen_ms, uint32_t slow_start_ms, uint64_t now_ms);

#endif
