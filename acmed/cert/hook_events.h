/* What the operator's program is told of a certificate (acmed/helper/hook.h), and when. Part of
 * cert/certificate.c. acmed only. */
#ifndef ACMED_CERT_HOOK_EVENTS_H
#define ACMED_CERT_HOOK_EVENTS_H

#include "acmed/cert/certificate.h"

/* It could not be had: "failed", or, which is worse, "expiring", when less than half of the
 * time for renewals is left. At most once an hour. */
void hook_events_trouble(struct certificate *keeper);

/* Files that end soon: "expiring", once a day. */
void hook_events_expiring(struct certificate *keeper, uint64_t now_ms);

/* Into the row: what is wrong with store, clock and account, what was found about the
 * certificate, and what is wrong with the hook. */
void hook_events_show(struct certificate *keeper);
/* Publishes the row when the store cannot be used, for this reason, or can be ("") again. */
void hook_events_store(struct certificate *keeper, const char *why);
/* The same when what is wrong with the clock, or the account, is another thing than before. */
void hook_events_common(struct certificate *keeper);

/* Looks after the hook, and calls it with keeper->event. */
void hook_events_look(struct certificate *keeper, uint64_t now_ms);

#endif
