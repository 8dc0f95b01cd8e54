/* Admin overrides: what operators set by signal (drain, ready, maint), kept in a file so that
 * it outlives a restart of the service. Supervisor only.
 *
 * The file is in the directory that only the supervisor can write to (supervisor/state_dir.h).
 * It is text, one line per override, with tabs:
 *
 *     pasgate wishes 1
 *     BACKEND  OVERRIDE  WHO  SINCE  REASON                 SINCE: ms since 1970
 *
 * OVERRIDE is drain, ready or maint; drained or cut for a drain that has ended, empty or not.
 *
 * A malformed file is not used at all; that is logged once, and the file is renamed to
 * wishes.bad. A file that cannot be read at the moment (EIO, no memory, a directory with a
 * wrong mode) stays: it is read again later, and nothing is written over it before. What
 * operators set meanwhile is in force, and goes before what is read then. Whoever gives such a
 * file up removes it. */
#ifndef SUPERVISOR_BACKEND_ADMIN_OVERRIDES_H
#define SUPERVISOR_BACKEND_ADMIN_OVERRIDES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"
#include "supervisor/privilege.h"

enum {
    ADMIN_OVERRIDES_MAX = TABLE_BACKENDS,
    ADMIN_OVERRIDES_LINE = 2 * TABLE_NAME + TABLE_REASON + 32, /* bytes, at most */
    ADMIN_OVERRIDES_BYTES =
        32 + ADMIN_OVERRIDES_MAX * ADMIN_OVERRIDES_LINE, /* of the file, at most */
    ADMIN_OVERRIDES_RETRY_MS = 5000, /* between two tries to read or write it */
};

struct admin_override {
    uint8_t override; /* enum admin_state */
    uint8_t drained;  /* enum drain_end; for a drain */
    bool dropped;     /* taken back while the file was unread: what that has does not count */
    uint64_t since_wall_ms;
    char backend[TABLE_NAME], who[TABLE_NAME], reason[TABLE_REASON];
};

/* Includes backends that the configuration does not name at present: they may come back. */
struct admin_overrides {
    struct admin_override v[ADMIN_OVERRIDES_MAX];
    uint32_t n;
    bool changed; /* since it was last written */
    bool told;    /* the failure to write it was logged */
    bool unread;  /* the file in dir could not be read; that was logged */
    char dir[PATH_MAX];
};

const struct admin_override *admin_overrides_find(const struct admin_overrides *overrides,
                                                  const char *backend);

/* Adds or replaces one; false: the list is full. Removes one. */
bool admin_overrides_put(struct admin_overrides *overrides,
                         const struct admin_override *override);
void admin_overrides_drop(struct admin_overrides *overrides, const char *backend);

/* Writes the text of the file to out, which holds ADMIN_OVERRIDES_BYTES; returns its length. */
size_t admin_overrides_format(const struct admin_overrides *overrides, char *out);

/* Parses n bytes (with a NUL after them) into an empty list. 0, or the number of the first
 * malformed line; the list then stays empty. */
unsigned admin_overrides_parse(struct admin_overrides *overrides, char *text, size_t n);

/* At start: loads the file of this store. Errors are logged. */
void admin_overrides_load(struct admin_overrides *overrides, const char *store,
                          const struct identity *identity);

/* Reads it again if it could not be read, and adds what is not newer in the list; true: it was
 * read now, or is gone, or is found to be unusable. */
bool admin_overrides_load_again(struct admin_overrides *overrides);

/* Writes the list if it changed, whole or not at all; if the store is now elsewhere, the file
 * moves there. A failure is logged once and retried with the next change, or when this is
 * called again. Returns whether all overrides are stored now. */
enum saved admin_overrides_save(struct admin_overrides *overrides, const char *store,
                                const struct identity *identity);

#endif
