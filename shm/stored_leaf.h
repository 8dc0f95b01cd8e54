/* The names in a certificate of the store, for acmed (cert/pem_leaf.c) and workers
 * (certs_stored.c), so that both find the same pair. Its .c is the only file here that uses
 * OpenSSL. */
#ifndef SHM_STORED_LEAF_H
#define SHM_STORED_LEAF_H

struct x509_st; /* OpenSSL's X509 */

/* Its names and addresses as stored_covers() takes them: each ended by a NUL, an empty one at
 * the end. What is not a name, or too long for one, is left out. Heap; NULL: no memory. */
char *stored_leaf_names(const struct x509_st *cert);

#endif
