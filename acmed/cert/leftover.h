/* Removes dns-01 TXT records of certificates that are no longer configured: their orders are
 * given up, and the hook is called to remove the records. acmed only. */
#ifndef ACMED_CERT_LEFTOVER_H
#define ACMED_CERT_LEFTOVER_H

#include <stdint.h>

#include "acmed/order/ca_set.h"

struct leftover;

/* Finds them in the store, which must be ours. The caller owns the list; NULL: none, as usual.
 * ca_set is borrowed. */
struct leftover *leftover_find(struct ca_set *ca_set, uint64_t now_ms);
void leftover_release(struct leftover **list);

/* Continues the hook calls, at each turn; finished entries leave the list. */
void leftover_tick(struct leftover **list, uint64_t now_ms);

#endif
