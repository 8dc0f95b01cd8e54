/* Manages one certificate: from the configuration, the store and the files to its row of the
 * table. acmed only; no OpenSSL here. */
#ifndef ACMED_CERT_CERTIFICATE_H
#define ACMED_CERT_CERTIFICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/certificate_data.h"

/* Publishes the newest good generation of the store. before: the predecessor's row for this
 * name, which tells what the workers have loaded; NULL: none. certificate_release() closes
 * files. */
void certificate_init(struct certificate *certificate, const struct heritage *heritage,
                      struct store *store, struct ca_set *ca_set, const struct conf_cert *conf,
                      const struct cert_row *before, uint64_t now_ms);
void certificate_release(struct certificate *certificate);

/* trouble NULL: the store has just become ours, and everything in it is read again. Else the
 * reason why it is not ours; what another service makes live there is then served here too. */
void certificate_store(struct certificate *certificate, const char *trouble, uint64_t now_ms);

/* Checks whether the store can be used, and whether the live generation is still in it. If that
 * is gone, the workers keep serving it, and another one is made, read again or ordered.
 * trouble: why the store cannot be used, if that is known already; "": unknown. */
void certificate_look_at_store(struct certificate *certificate, const char *trouble,
                               uint64_t now_ms);

/* Does what is due, and sets due_ms. */
void certificate_tick(struct certificate *certificate, uint64_t now_ms);

/* Handles a PEM message of the supervisor for this certificate. Takes *fd or leaves it. */
void certificate_reply(struct certificate *certificate, const struct message *reply, int *fd,
                       uint64_t now_ms);

/* Handles a request of the operator; the reply to this process is in the row. reason: of
 * CERT_REVOKE (order/account_op.h). */
void certificate_request(struct certificate *certificate, enum cert_request request,
                         unsigned reason, int32_t pid, uint64_t now_ms);

#endif
