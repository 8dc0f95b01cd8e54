/* Finds a good pair in the store for a certificate that has no row in the table: a reload gave
 * it another name, or its names another order, and acmed, which follows a reload, has not
 * adopted it yet (acmed/cert/adopt.c). The content of a pair counts, not the name of its
 * directory. Part of cert_loader.c. Worker only. */
#ifndef WORKER_CERTS_STORED_H
#define WORKER_CERTS_STORED_H

struct worker;

/* Searches the store once and loads, for each certificate of which nothing is loaded yet, the
 * first pair that a CA or the operator made and that is valid now and for all its names. Pairs
 * that the workers of an older configuration serve come first, then the last one that went
 * live. A worker that already serves has no time for this. */
void certs_stored_load(struct worker *worker);

#endif
