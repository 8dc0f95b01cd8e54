/* A good pair of the store for a certificate of which the table has no row: a reload gave it
 * another name, or its names another order, and acmed, which follows a reload, has not taken it
 * over yet (acmed/cert/adopt.c). What a pair is counts, not what its folder is called. Part of
 * cert_loader.c. Worker only. */
#ifndef WORKER_CERTS_STORED_H
#define WORKER_CERTS_STORED_H

struct worker;

/* Goes once through the store and loads, for each certificate of which nothing is loaded yet,
 * the first pair that a CA or the operator made, is valid now and for all its names: what the
 * workers of an older configuration serve comes first, then what went live last. A worker that
 * serves already has no time for it. */
void certs_stored_load(struct worker *worker);

#endif
