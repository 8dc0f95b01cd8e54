/* Going live: a pair becomes a generation of the store, is proved by a worker, and is then what
 * all workers load; or it is set aside, and what was live goes on. Part of cert/certificate.c,
 * which is told the outcome by certificate_settled(). acmed only. */
#ifndef ACMED_CERT_DEPLOY_H
#define ACMED_CERT_DEPLOY_H

#include "acmed/cert/certificate.h"

enum {
    DEPLOY_LOOK_MS = 500
}; /* longest between two looks at a proof: a prover may have died */

/* Takes over a generation that stands in the store, as what is live. Publishes nothing. */
void deploy_take(struct certificate *keeper, uint32_t generation, enum cert_source source,
                 const struct pem_pair *pair, const struct pem_info *info);

/* Writes a good pair to the store, to be proved and made live; at once when nothing is live
 * yet, or nobody is there to prove it. Only while no other one is under way. false: the store
 * did not take it, and the row tells why. */
bool deploy_offer(struct certificate *keeper, const struct pem_pair *pair,
                  enum cert_source source, const struct pem_info *info,
                  enum certificate_cause cause);

/* The same for a rollback; `of` is the generation that it leads to. */
bool deploy_offer_again(struct certificate *keeper, const struct pem_pair *pair,
                        enum cert_source source, const struct pem_info *info, uint32_t of);

/* Whether one is being proved; goes on with it. */
bool deploy_waits(const struct certificate *keeper);
void deploy_look(struct certificate *keeper, uint64_t now_ms);

void deploy_publish(struct certificate *keeper);
void deploy_tell(const struct certificate *keeper);

/* Says what is wrong, once per change; "" when nothing is any more. */
void deploy_complain(struct certificate *keeper, const char *error);

/* ---- cert/certificate.c */

/* The offer for this cause is live, with a warning or ""; or it was set aside, and the text
 * tells why. */
void certificate_settled(struct certificate *keeper, enum certificate_cause cause, bool lives,
                         const char *text);

#endif
