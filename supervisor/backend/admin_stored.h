/* Keeps the file of admin overrides as the admin rows are, and header.saved, by which commands
 * learn whether it is. Supervisor only. */
#ifndef SUPERVISOR_BACKEND_ADMIN_STORED_H
#define SUPERVISOR_BACKEND_ADMIN_STORED_H

struct supervisor;

/* Writes the file if the list of overrides changed, or the store did. Publishes the result:
 * whoever asked for a change waits for it. */
void admin_stored_save(struct supervisor *sup);

/* Takes the row of one backend over into the list; the caller saves. */
void admin_stored_keep(struct supervisor *sup, int slot);

/* Takes it over, then saves. */
void admin_stored_update(struct supervisor *sup, int slot);

/* A drain has ended: if it was an operator's override, its end is stored, so that it is still
 * ended after a restart of the service. */
void admin_stored_drain_ended(struct supervisor *sup, int slot);

#endif
