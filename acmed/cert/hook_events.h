/* Decides when the hook (acmed/helper/hook.h) is called for a certificate, and with which
 * event. acmed only. */
#ifndef ACMED_CERT_HOOK_EVENTS_H
#define ACMED_CERT_HOOK_EVENTS_H

#include "acmed/cert/certificate_data.h"

/* Reads what was told before a restart; after issue_init(). */
void hook_events_init(struct certificate *certificate);

/* The certificate could not be obtained: "failed", or the more serious "expiring" once less
 * than half of the time for renewals is left. At most once an hour. */
void hook_events_trouble(struct certificate *certificate);

/* Configured files that expire soon: "expiring", once a day. */
void hook_events_expiring(struct certificate *certificate);

/* acmed ends in good order: ends the running call, which counts as cut and not as one that
 * ended acmed. */
void hook_events_release(struct certificate *certificate);

/* Checks the hook and its running call, and calls it for what waits in
 * certificate->hook_queue. */
void hook_events_look(struct certificate *certificate, uint64_t now_ms);

#endif
