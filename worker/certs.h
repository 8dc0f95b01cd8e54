/* Which certificates are live: follows acmed's rows in the table and swaps new
 * generations into the TLS engine, between two accepts. Worker only. */
#ifndef WORKER_CERTS_H
#define WORKER_CERTS_H

#include <stdbool.h>

struct worker;

/* Loads what is published and not loaded yet. true: every configured
 * certificate has one. */
bool certs_refresh(struct worker *worker);

#endif
