/* What the operator's program is told of a certificate (acmed/hook.h), and when. Part of
 * keeper.c. acmed only. */
#ifndef ACMED_NOTICE_H
#define ACMED_NOTICE_H

#include "acmed/keeper.h"

/* It could not be had: "failed", or, which is worse, "expiring", when less than half of the
 * time for renewals is left. At most once an hour. */
void notice_trouble(struct keeper *keeper);

/* Files that end soon: "expiring", once a day. */
void notice_expiring(struct keeper *keeper, uint64_t now_ms);

/* Looks after the hook, and calls it with keeper->event. */
void notice_look(struct keeper *keeper, uint64_t now_ms);

#endif
