/* When the hook was last called about trouble with a certificate that is not ordered (one that
 * is has this in its state, cert/cert_state.h): STORE/orders/NAME/hook. Kept so that a restart
 * does not call it again, not even when the hook is what ended acmed. acmed only. */
#ifndef ACMED_CERT_HOOK_TOLD_H
#define ACMED_CERT_HOOK_TOLD_H

#include <stdint.h>

/* Milliseconds since 1970; 0: never. */
struct hook_told {
    uint64_t trouble_at;  /* "failed", or "expiring" after a failure */
    uint64_t expiring_at; /* configured files that expire soon */
};

/* A missing or damaged file counts as {0}. */
void hook_told_load(const char *store, const char *name, struct hook_told *told);
/* 0, or -1 with errno. */
int hook_told_save(const char *store, const char *name, const struct hook_told *told);

#endif
