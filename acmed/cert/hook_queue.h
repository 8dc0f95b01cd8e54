/* The hook's events of one certificate that wait until the hook can be called. That a
 * generation went live is never dropped: the operator's script must not miss it. Pure. */
#ifndef ACMED_CERT_HOOK_QUEUE_H
#define ACMED_CERT_HOOK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HOOK_QUEUE_RETRY_MS = 30000, /* after a call that could not be started */
    HOOK_QUEUE_LOST_MS = 5000,   /* after one whose process was killed */
};

/* Starts as {0}. */
struct hook_queue {
    const char *deployed; /* "issued" or "renewed"; NULL: none */
    const char *trouble;  /* "failed" or "expiring"; NULL: none */
    uint64_t retry_ms;    /* deployed is not called before this; 0: at once */
};

/* A generation went live. Of two that wait, the call names the newer one's files; "issued" is
 * told rather than "renewed". Trouble from before is over. */
void hook_queue_deployed(struct hook_queue *queue, const char *event);
/* Replaces older trouble, and comes after `deployed`. */
void hook_queue_trouble(struct hook_queue *queue, const char *event);

/* The event to call the hook for now; NULL: none. */
const char *hook_queue_next(const struct hook_queue *queue, uint64_t now_ms);

/* Takes the event of hook_queue_next() out if it was started. If not, `deployed` is tried
 * again; trouble is dropped, because it is reported again while it lasts. */
void hook_queue_called(struct hook_queue *queue, const char *event, bool started,
                       uint64_t now_ms);

/* Its call was lost: it is called again after a while. event: "issued" or "renewed". */
void hook_queue_lost(struct hook_queue *queue, const char *event, uint64_t now_ms);

#endif
