/* Which backend an APSV connection belongs to. The handle (CONNHDL) that a client sends is
 * PAS's own and does not name the backend, so that it has to be remembered where every worker
 * can look. Each worker writes what it learns to its own row; a lookup reads all rows, those of
 * dead workers too, and the latest entry counts.
 *
 * Workers only; no locks. A row holds TABLE_HANDLES connections in sets of eight; a new entry
 * replaces the one that was unused for longest. */
#ifndef SHM_APSV_MAP_H
#define SHM_APSV_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum { APSV_MAP_TTL_MS = 30 * 60 * 1000 }; /* the idle timeout of PAS's own sessions */

/* Remembers in our own row that the connection with this hash (not 0) is at the backend with
 * this number, or is still used. */
void apsv_map_learn(struct worker_row *mine, uint64_t hash, uint32_t backend, uint64_t now_ms);

/* The backend of a connection; false: not known. */
bool apsv_map_find(const struct table *table, uint64_t hash, uint64_t now_ms,
                   uint32_t *backend);

#endif
