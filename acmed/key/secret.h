/* Memory for secrets: private keys as PEM, keys of external accounts, and what they are read
 * from. It is OpenSSL's secure heap: locked, so that it is never swapped out; excluded from
 * core dumps; between two guard pages; wiped when freed. OpenSSL keeps the numbers of private
 * keys there too. acmed and `pasgate cert import` only; one thread. OpenSSL stays behind this
 * header. */
#ifndef ACMED_KEY_SECRET_H
#define ACMED_KEY_SECRET_H

#include <stddef.h>

#include "base/str.h"

enum {
    /* Size of the heap in bytes. acmed: four concurrent conversations and three accounts, each
     * with a 4096-bit RSA key as text (4 KiB) and as numbers (twice 3 KiB), and two pairs of
     * chain and key (12 KiB each) on their way to a worker, need 100 KiB. An import holds all
     * of certbot's pairs at once, usually a handful. Only pages that are used take memory, but
     * all of it counts for the limit of locked memory, which is 8 MiB nearly everywhere. */
    SECRET_HEAP = 256 * 1024,
    SECRET_HEAP_IMPORT = 4 * 1024 * 1024,
};

/* Creates the heap, and has OpenSSL wipe everything else that it frees in this process. Call
 * once, before the first key and before OpenSSL is used at all, and after the last fork(),
 * because locks are not inherited. If the host does not provide all of it, that is logged and
 * acmed continues without: keys still work, and certificates have to be renewed. bytes: a power
 * of two. */
void secret_init(size_t bytes);

/* n > 0 bytes, zeroed. NULL: no memory. Half of the heap is reserved for OpenSSL, which cannot
 * work without it. When the other half is used up, or there is no heap, returns ordinary memory
 * (also wiped), and logs that. */
void *secret_new(size_t n);
void secret_free(void *secret); /* wipes it; takes NULL */

/* A NUL-terminated copy. NULL: no memory. */
char *secret_copy(struct str text);

/* Reads fd up to its end: *n bytes and a NUL, with no copy elsewhere. NULL with errno; EFBIG:
 * more than max bytes. */
char *secret_read(int fd, size_t max, size_t *n);

#endif
