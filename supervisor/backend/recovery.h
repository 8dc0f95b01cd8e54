/* Carries out what supervisor/backend/recovery_fsm.c decides about each backend: asks of
 * operators and of healthd, drains, the one restarter, health after it, and what the table, the
 * history and the log say of all that.
 *
 * Of what children write it uses health rows (a state, times, an identity to compare),
 * counts of requests in flight, and the texts of healthd and the restarter, cut to printable
 * ASCII, for people only. A heal under way ends with the service; so do tries and HOLD. */
#ifndef SUPERVISOR_BACKEND_RECOVERY_H
#define SUPERVISOR_BACKEND_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct generation;
struct recovery_table;
struct supervisor;

struct recovery_table *recovery_new(struct supervisor *sup); /* NULL with errno */
void recovery_free(struct recovery_table *healer);           /* takes NULL */

/* An operator's restart by signal: number of a backend (1..), with RESTART_FORCE added for
 * one in spite of min_healthy. The row's requests and answer tell what came of it. */
void recovery_request(struct supervisor *sup, int value, uid_t uid);

/* healthd asks, with whatever number and text it sent. */
void recovery_please(struct supervisor *sup, uint64_t slot, const char *text);

/* An operator's `ready` ends HOLD, and takes back a restart that still drains. */
void recovery_ready(struct supervisor *sup, int slot, uid_t uid);

/* Another backend gets the slot; the row is the caller's to clear. */
void recovery_forget(struct supervisor *sup, int slot);

/* What the restarter says of its work; and its end. */
void recovery_told(struct supervisor *sup, const char *text);
void recovery_restarter_ended(struct supervisor *sup, int wait_status);

/* Once a second: what healthd still wants, and which tries have become old. */
void recovery_pulse(struct supervisor *sup);

#endif
