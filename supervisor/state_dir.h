/* Where the supervisor keeps what must outlive a restart of the service: a folder
 * that only it can write. As root that is "STORE-state" beside the store, because
 * the store belongs to the children; as anyone else "STORE/state", because children
 * are the same user anyway, and in a container the store is what survives.
 * Supervisor only. */
#ifndef SUPERVISOR_STATE_DIR_H
#define SUPERVISOR_STATE_DIR_H

#include <limits.h>
#include <stdbool.h>

#include "supervisor/privilege.h"

/* false: its name is too long. */
bool state_dir_name(char out[PATH_MAX], const char *store, const struct identity *identity);

/* Opens it: ours, and nobody else may write there; whoever made it. -1 with errno. */
int state_dir_open(const char *path);

/* The same; makes it, and the store with its parents, where they are not there yet. */
int state_dir_make(const char *path, const char *store, const struct identity *identity);

#endif
