/* Going live: a pair becomes a generation of the store, is proved by a worker, and is then what
 * all workers load; or it is set aside, and what was live goes on. Part of keeper.c, which is
 * told the outcome by keeper_settled(). acmed only. */
#ifndef ACMED_LIVE_H
#define ACMED_LIVE_H

#include "acmed/keeper.h"

enum { LIVE_LOOK_MS = 500 }; /* longest between two looks at a proof: a prover may have died */

/* Takes over a generation that stands in the store, as what is live. Publishes nothing. */
void live_take(struct keeper *keeper, uint32_t generation, enum cert_source source,
               const struct pem_pair *pair, const struct pem_info *info);

/* Writes a good pair to the store, to be proved and made live; at once when nothing is live
 * yet, or nobody is there to prove it. Only while no other one is under way. false: the store
 * did not take it, and the row tells why. */
bool live_offer(struct keeper *keeper, const struct pem_pair *pair, enum cert_source source,
                const struct pem_info *info, enum keeper_cause cause);

/* Whether one is being proved; goes on with it. */
bool live_waits(const struct keeper *keeper);
void live_look(struct keeper *keeper, uint64_t now_ms);

void live_publish(struct keeper *keeper);
void live_tell(const struct keeper *keeper);

/* Says what is wrong, once per change; "" when nothing is any more. */
void live_complain(struct keeper *keeper, const char *error);

/* ---- keeper.c */

/* The offer for this cause is live, with a warning or ""; or it was set aside, and the text
 * tells why. */
void keeper_settled(struct keeper *keeper, enum keeper_cause cause, bool lives,
                    const char *text);

#endif
