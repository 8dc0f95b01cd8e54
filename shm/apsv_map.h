/* Which instance an APSV connection belongs to: the handle (CONNHDL) that a client
 * sends is PAS's own and says nothing about the instance, so that it has to be
 * remembered where every worker can look. Each worker writes what it learns to its
 * own row; looking reads all rows, dead workers' too, and the latest word counts.
 *
 * Workers only; no locks. A row holds TABLE_HANDLES connections in sets of eight;
 * the one unused for longest makes room. */
#ifndef SHM_APSV_MAP_H
#define SHM_APSV_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum { APSV_MAP_TTL_MS = 30 * 60 * 1000 }; /* the idle timeout of PAS's own sessions */

/* Remembers in our own row that the connection of that hash (not 0) is at the
 * instance of that number, or is still used. */
void apsv_map_learn(struct worker_row *mine, uint64_t hash, uint32_t instance, uint64_t now_ms);

/* The instance of a connection; false: nobody knows. */
bool apsv_map_find(const struct table *table, uint64_t hash, uint64_t now_ms,
                   uint32_t *instance);

#endif
