/* Recovery: carries out what supervisor/backend/recovery_fsm.c decides about each backend.
 * Handles requests of operators and of healthd, drains, the one restarter, the checks after it,
 * and what the table, the history and the log say about all that.
 *
 * Of what children write it uses health rows (a state, times, an identity to compare), counts
 * of requests in flight, and the texts of healthd and the restarter, cut to printable ASCII,
 * for people only. A recovery under way ends with the service; so do tries and HOLD. */
#ifndef SUPERVISOR_BACKEND_RECOVERY_H
#define SUPERVISOR_BACKEND_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct generation;
struct recovery_table;
struct supervisor;

struct recovery_table *recovery_new(struct supervisor *sup); /* NULL with errno */
/* After an upgrade: goes on from a copy of the former program's. */
void recovery_adopt(struct recovery_table *recoveries, const struct recovery_table *from);
void recovery_free(struct recovery_table *recoveries); /* takes NULL */

/* An operator's restart by signal: the number of a backend (1..), plus RESTART_FORCE to restart
 * it even if fewer than min_healthy would be left. The row's requests and reply give the
 * result. */
void recovery_request(struct supervisor *sup, int value, uid_t uid);

/* healthd asks for a restart, with whatever number and text it sent. */
void recovery_request_healthd(struct supervisor *sup, uint64_t slot, const char *text);

/* An operator's `ready` ends HOLD, and takes back a restart that is still draining. */
void recovery_ready(struct supervisor *sup, int slot, uid_t uid);

/* The slot is given to another backend; the caller clears the row. */
void recovery_forget(struct supervisor *sup, int slot);

/* The name of the backend that the restarter works on; "another" after a reload removed it. */
const char *recovery_acting(const struct supervisor *sup);

/* A text of the restarter about its work; and its end. */
void recovery_told(struct supervisor *sup, const char *text);
void recovery_restarter_ended(struct supervisor *sup, int wait_status);

/* Once a second: considers again what healthd still asks for, and drops tries of over an hour
 * ago. */
void recovery_heartbeat(struct supervisor *sup);

#endif
