/* What operators wished by signal (drain, ready, maint), kept in a file so that it
 * outlives a restart of the service. Supervisor only.
 *
 * The file stands where only the supervisor can write (supervisor/state_folder.h). It
 * is text, one line per wish, with tabs:
 *
 *     pasgate wishes 1
 *     BACKEND  WISH  WHO  SINCE  REASON                     SINCE: ms since 1970
 *
 * WISH is drain, ready or maint; drained or cut: a drain that has ended, empty or not.
 *
 * A file that is not just so is not used at all; it is told once and kept aside as
 * wishes.bad. */
#ifndef SUPERVISOR_WISHES_H
#define SUPERVISOR_WISHES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"
#include "supervisor/privilege.h"

enum {
    WISHES_MAX = TABLE_BACKENDS,
    WISHES_LINE = 2 * TABLE_NAME + TABLE_REASON + 32, /* bytes, at most */
    WISHES_BYTES = 32 + WISHES_MAX * WISHES_LINE,     /* of the file, at most */
};

struct wish {
    uint8_t wish;    /* enum admin_state */
    uint8_t drained; /* enum drain_end; of a drain */
    uint64_t since_wall_ms;
    char backend[TABLE_NAME], who[TABLE_NAME], reason[TABLE_REASON];
};

/* Also of backends that the configuration does not name now: they may come back. */
struct wishes {
    struct wish v[WISHES_MAX];
    uint32_t n;
    bool changed; /* since it was written */
    bool told;    /* that it cannot be written */
    char folder[PATH_MAX];
};

const struct wish *wishes_find(const struct wishes *wishes, const char *backend);

/* Adds or replaces; false: there is no room. */
bool wishes_put(struct wishes *wishes, const struct wish *wish);
void wishes_drop(struct wishes *wishes, const char *backend);

/* The text of the file: its length. out holds WISHES_BYTES. */
size_t wishes_format(const struct wishes *wishes, char *out);

/* Reads n bytes (and a NUL behind them) into an empty list: 0, or the number of the
 * first line that is wrong, and then the list stays empty. */
unsigned wishes_parse(struct wishes *wishes, char *text, size_t n);

/* At start: takes what the file of this store says. What is wrong is logged. */
void wishes_load(struct wishes *wishes, const char *store, const struct identity *identity);

/* Writes what has changed, whole or not at all; a store at another place takes the file
 * along. A failure is logged once, and tried again with the next change. */
void wishes_save(struct wishes *wishes, const char *store, const struct identity *identity);

#endif
