/* Decides when the hook (acmed/helper/hook.h) is called for a certificate, and with which
 * event. Part of cert/certificate.c. acmed only. */
#ifndef ACMED_CERT_HOOK_EVENTS_H
#define ACMED_CERT_HOOK_EVENTS_H

#include "acmed/cert/certificate.h"

/* The certificate could not be obtained: "failed", or the more serious "expiring" once less
 * than half of the time for renewals is left. At most once an hour. */
void hook_events_trouble(struct certificate *certificate);

/* Configured files that expire soon: "expiring", once a day. */
void hook_events_expiring(struct certificate *certificate, uint64_t now_ms);

/* Fills the row's notes: what is wrong with store, clock and account, findings about the
 * certificate, and what is wrong with the hook. */
void hook_events_show(struct certificate *certificate);
/* Publishes the row when the store becomes unusable, for this reason, or usable ("") again. */
void hook_events_store(struct certificate *certificate, const char *why);
/* The same when the state of the clock or of the account has changed. */
void hook_events_common(struct certificate *certificate);

/* Checks the hook and its running call, and calls it for what waits in
 * certificate->hook_queue. */
void hook_events_look(struct certificate *certificate, uint64_t now_ms);

#endif
