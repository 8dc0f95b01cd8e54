/* Memory for what nobody else may see: private keys as PEM, keys of external accounts, and what
 * they are read from. It is OpenSSL's secure heap: locked, so that it is never swapped out; in
 * no core dump; between two pages that cannot be touched; wiped when freed. The numbers of
 * private keys are kept there by OpenSSL itself. acmed and `pasgate cert import` only; one
 * thread. OpenSSL stays behind this header. */
#ifndef ACMED_KEY_SECRET_H
#define ACMED_KEY_SECRET_H

#include <stddef.h>

#include "base/str.h"

enum {
    /* Bytes of the heap. acmed: four conversations at once and three accounts, each with an RSA
     * key of 4096 bits as text (4 KiB) and as numbers (twice 3 KiB), and two pairs of chain and
     * key (12 KiB each) on their way to a worker, are 100 KiB. An import holds all of certbot's
     * pairs at once, mostly a handful. Only what is touched counts as memory, but all of it for
     * the limit of locked memory, which is 8 MiB nearly everywhere. */
    SECRET_HEAP = 256 * 1024,
    SECRET_HEAP_IMPORT = 4 * 1024 * 1024,
};

/* Makes the heap, and has OpenSSL wipe all else that it frees in this process. Once, before the
 * first key, before OpenSSL was used at all, and after the last fork(), because locks are not
 * inherited. What the host does not give is told in the log and done without: keys work the
 * same, and certificates have to be renewed. bytes: a power of two. */
void secret_init(size_t bytes);

/* n > 0 bytes, zeroed. NULL: no memory. Half of the heap is OpenSSL's, which can do nothing
 * without; when the other half is used up, or there is none, it is ordinary memory (wiped all
 * the same), which is told in the log. */
void *secret_new(size_t n);
void secret_free(void *secret); /* wipes it; takes NULL */

/* A copy, NUL behind it. NULL: no memory. */
char *secret_copy(struct str text);

/* What can be read from fd up to its end, NUL behind it, *n bytes, with no copy elsewhere. NULL
 * with errno; EFBIG: more than max bytes. */
char *secret_read(int fd, size_t max, size_t *n);

#endif
