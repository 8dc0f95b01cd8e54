/* Incidents: each restart has an id and, where there is a state folder, a folder for its
 * evidence, STATE/incidents/ID (supervisor/state_dir.h). Supervisor only. */
#ifndef SUPERVISOR_BACKEND_INCIDENT_H
#define SUPERVISOR_BACKEND_INCIDENT_H

#include "shm/heritage.h"
#include "supervisor/privilege.h"

enum { INCIDENTS_KEPT = 32 /* folders; the oldest goes when another one comes */ };

/* Makes "20261123T041200-NAME-NUMBER", the time in UTC and the name cut to what fits. */
void incident_id(char out[TABLE_INCIDENT], const char *name, unsigned number);

/* Makes the folder of an id in the state folder of that store and writes its path. "" when
 * there is no store or it cannot be made, which is logged. */
void incident_dir(char out[HERITAGE_DIR], const char *id, const char *store,
                  const struct identity *identity);

#endif
