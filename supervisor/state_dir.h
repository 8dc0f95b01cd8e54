/* Where the supervisor keeps what must outlive a restart of the service: a directory that only
 * it can write to. As root that is "STORE-state" beside the store, because the store belongs to
 * the children; as any other user "STORE/state", because children are the same user anyway, and
 * in a container the store is what survives. Supervisor only. Reasons: docs/supervision.md. */
#ifndef SUPERVISOR_STATE_DIR_H
#define SUPERVISOR_STATE_DIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "supervisor/privilege.h"

/* false: the name is too long. */
bool state_dir_name(char out[PATH_MAX], const char *store, const struct identity *identity);

/* Opens it if it belongs to us and nobody else may write to it, whoever created it. -1 with
 * errno; EPERM: it does not, or somebody may. */
int state_dir_open(const char *path);

/* The same; first creates it, and the store with its parents, where they do not exist. */
int state_dir_make(const char *path, const char *store, const struct identity *identity);

/* Replaces a file of an open one: written whole as NAME.new (mode 0600) and on disk before it
 * gets its name, so that a crash leaves the old one or the new one. 0, or -1 with errno. */
int state_dir_write(int dir, const char *name, const void *bytes, size_t n);

#endif
