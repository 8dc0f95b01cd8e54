/* Which certificates are live: follows acmed's rows in the table and swaps new
 * generations into the TLS engine, between two accepts. Worker only. */
#ifndef WORKER_CERT_LOADER_H
#define WORKER_CERT_LOADER_H

#include <stdbool.h>

struct worker;

/* Loads what is published and not loaded yet. What cannot be read, or acmed has none of, is
 * stood in for by a self-signed one that this worker makes in its memory. Where acmed has not
 * said yet that it has none, only without patience. brief: for no longer than clients may wait;
 * worker->certs_more: to be called again soon. true: every configured certificate has one.
 * Costs next to nothing when nothing has changed. */
bool cert_loader_refresh(struct worker *worker, bool patient, bool brief);

#endif
