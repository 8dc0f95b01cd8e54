/* TXT records of dns-01 of certificates that are not in the configuration any more: their
 * orders are given up, so the hook takes the records away. acmed only. */
#ifndef ACMED_CERT_LEFTOVER_H
#define ACMED_CERT_LEFTOVER_H

#include <stdint.h>

#include "acmed/order/ca_set.h"

struct leftover;

/* Finds them in the store, which is ours. The list's owner is the caller; NULL: none, as
 * usual. The issuer is borrowed. */
struct leftover *leftover_find(struct ca_set *issuer, uint64_t now_ms);
void leftover_release(struct leftover **list);

/* Looks after the hook; what is done leaves the list. At each turn. */
void leftover_tick(struct leftover **list, uint64_t now_ms);

#endif
