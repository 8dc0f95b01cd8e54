/* Incidents: each restart has an id and, where there is a state directory, a directory for its
 * diagnostics, STATE/incidents/ID (supervisor/state_dir.h). Supervisor only. */
#ifndef SUPERVISOR_BACKEND_INCIDENT_H
#define SUPERVISOR_BACKEND_INCIDENT_H

#include "shm/heritage.h"
#include "supervisor/privilege.h"

enum { INCIDENTS_KEPT = 32 /* directories; the oldest is removed for a new one */ };

/* Makes "20261123T041200-NAME-NUMBER", with the time in UTC and the name cut to fit. */
void incident_id(char out[TABLE_INCIDENT], const char *name, unsigned number);

/* Creates the directory of an id in the state directory of that store and writes its path to
 * out. "" when there is no store, or when it cannot be created, which is logged. */
void incident_dir(char out[HERITAGE_DIR], const char *id, const char *store,
                  const struct identity *identity);

#endif
