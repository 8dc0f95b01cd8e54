/* Live certificates: follows acmed's rows in the table and swaps new generations into the TLS
 * engine, between two accepts. Worker only. */
#ifndef WORKER_CERT_LOADER_H
#define WORKER_CERT_LOADER_H

#include <stdbool.h>

struct worker;

/* Loads certificates that are published and not loaded yet. For one that cannot be read, or
 * that acmed does not have, this worker makes a self-signed stand-in in its memory; where acmed
 * has not yet said that it has none, only if not patient. brief: takes no longer than clients
 * may wait; worker->certs_more: to be called again soon. true: every configured certificate is
 * loaded. Costs next to nothing when nothing has changed. */
bool cert_loader_refresh(struct worker *worker, bool patient, bool brief);

#endif
