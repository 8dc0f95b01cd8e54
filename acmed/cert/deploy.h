/* Deploys a certificate: a pair becomes a generation of the store (a candidate), one worker
 * tests it, and then all workers load it; or it is set aside, and the live one stays.
 * docs/certificates.md has the states. certificate->outcome is told how it ended. acmed only.
 */
#ifndef ACMED_CERT_DEPLOY_H
#define ACMED_CERT_DEPLOY_H

#include "acmed/cert/certificate_data.h"

enum { DEPLOY_LOOK_MS = 500 }; /* between two checks of a test: the worker may have died */

/* Makes a generation of the store the live one. Publishes nothing. */
void deploy_take(struct certificate *certificate, uint32_t generation, enum cert_source source,
                 const struct pem_pair *pair, const struct pem_info *info);

/* Writes a good pair to the store as a candidate. It goes live after its test, or at once when
 * nothing is live yet or no test is needed. Only while no other candidate is pending. false:
 * the store could not be written, and the row tells why. */
bool deploy_offer(struct certificate *certificate, const struct pem_pair *pair,
                  enum cert_source source, const struct pem_info *info,
                  enum certificate_cause cause);

/* The same for a rollback; `of` is the generation that it returns to. */
bool deploy_offer_again(struct certificate *certificate, const struct pem_pair *pair,
                        enum cert_source source, const struct pem_info *info, uint32_t of);

/* Is a candidate being tested? deploy_look() continues the test. */
bool deploy_waits(const struct certificate *certificate);
void deploy_look(struct certificate *certificate, uint64_t now_ms);

/* The live one was revoked: marks it, and adds it to the list of revoked ones, as far as that
 * was not done yet. A process may have ended between the two, or before it marked others with
 * the same key. What cannot be written is written later: deploy_look_at_mark(). */
void deploy_note_revoked(struct certificate *certificate, const struct pem_pair *pair,
                         unsigned reason);
void deploy_look_at_mark(struct certificate *certificate, uint64_t now_ms);

/* Logs what is live. */
void deploy_tell(const struct certificate *certificate);

#endif
