/* One backend under watch: its verdict, its next probe, its row of the table.
 *
 * healthd only. The structs that it points to are the heritage's and live as
 * long as the process. Times are monotonic milliseconds. */
#ifndef HEALTHD_TARGET_H
#define HEALTHD_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/probe.h"
#include "healthd/schedule.h"
#include "healthd/signs.h"
#include "healthd/verdict.h"

struct conf_backend;
struct conf_check;

struct target {
    const struct conf_backend *backend;
    const struct conf_check *check;
    struct table *table;
    int slot;
    struct verdict verdict;
    struct health_row row; /* what was published last */

    bool running;                  /* a probe is under way */
    bool judged;                   /* this process has probed it at least once */
    bool trouble;                  /* workers saw some since the last probe ended */
    bool urgent;                   /* probe again as soon as this one has ended */
    uint64_t due_ms;               /* of the next probe */
    uint64_t started_ms;           /* of the last one */
    struct signs seen;             /* sums at the last look for trouble */
    struct signs at_start, at_end; /* of the last probe */
};

/* Begins: takes over the row of the same backend as the predecessor left it,
 * or starts at UNKNOWN. Publishes. */
void target_init(struct target *target, struct table *table, int slot,
                 const struct conf_backend *backend, const struct conf_check *check,
                 uint64_t due_ms);

/* A probe starts now. */
void target_started(struct target *target, const struct signs_live *live, uint64_t now_ms);

/* It has ended: judges, publishes and sets the time of the next one. true: the
 * workers must hear of it (another state, or another address). */
bool target_ended(struct target *target, const struct signs_live *live,
                  const struct probe_result *result, struct schedule *schedule,
                  uint64_t now_ms);

/* Looks at what the workers saw since the last look; brings the next probe
 * forward where something failed. true: as above. */
bool target_look(struct target *target, const struct signs_live *live, uint64_t now_ms);

/* A slot that this configuration does not name: nothing is known of it. */
void target_forget(struct table *table, int slot);

#endif
