/* What operators wished by signal (drain, ready, maint), kept in a file so that it
 * outlives a restart of the service. Supervisor only.
 *
 * The file stands where only the supervisor can write (supervisor/state_dir.h). It
 * is text, one line per wish, with tabs:
 *
 *     pasgate wishes 1
 *     BACKEND  WISH  WHO  SINCE  REASON                     SINCE: ms since 1970
 *
 * WISH is drain, ready or maint; drained or cut: a drain that has ended, empty or not.
 *
 * A file that is not just so is not used at all; it is told once and kept aside as
 * wishes.bad. */
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
};

struct admin_override {
    uint8_t override; /* enum admin_state */
    uint8_t drained;  /* enum drain_end; of a drain */
    uint64_t since_wall_ms;
    char backend[TABLE_NAME], who[TABLE_NAME], reason[TABLE_REASON];
};

/* Also of backends that the configuration does not name now: they may come back. */
struct admin_overrides {
    struct admin_override v[ADMIN_OVERRIDES_MAX];
    uint32_t n;
    bool changed; /* since it was written */
    bool told;    /* that it cannot be written */
    char dir[PATH_MAX];
};

const struct admin_override *admin_overrides_find(const struct admin_overrides *wishes,
                                                  const char *backend);

/* Adds or replaces; false: there is no room. */
bool admin_overrides_put(struct admin_overrides *wishes, const struct admin_override *override);
void admin_overrides_drop(struct admin_overrides *wishes, const char *backend);

/* The text of the file: its length. out holds ADMIN_OVERRIDES_BYTES. */
size_t admin_overrides_format(const struct admin_overrides *wishes, char *out);

/* Reads n bytes (and a NUL behind them) into an empty list: 0, or the number of the
 * first line that is wrong, and then the list stays empty. */
unsigned admin_overrides_parse(struct admin_overrides *wishes, char *text, size_t n);

/* At start: takes what the file of this store says. What is wrong is logged. */
void admin_overrides_load(struct admin_overrides *wishes, const char *store,
                          const struct identity *identity);

/* Writes what has changed, whole or not at all; a store at another place takes the file
 * along. A failure is logged once, and tried again with the next change, or when
 * this is called again. Returns where all that is wished stands now. */
enum saved admin_overrides_save(struct admin_overrides *wishes, const char *store,
                                const struct identity *identity);

#endif
