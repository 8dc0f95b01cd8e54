/* The list of revoked certificates. It identifies them by content, not by their place in the
 * store, because a pair is copied within the store (a rollback, a certificate with a new name)
 * and into it. A certificate on the list does not go live any more.
 *
 *   STORE/certs/.revoked     one line for each, the latest first:
 *     SHA-256 of the certificate=SHA-256 of its public key, when, reason, its end date
 *
 * A reason that says that others know the key applies to each certificate with that key. acmed
 * writes the list; everything that brings pairs into the store reads it. */
#ifndef ACMED_CERT_REVOKED_H
#define ACMED_CERT_REVOKED_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/store.h"

enum {
    REVOKED_MAX = 4096,        /* entries; the oldest are dropped */
    REVOKED_KEY_COMPROMISE = 1 /* RFC 5280, 5.3.1 */
};

/* Adds an entry, unless it would be forgotten at once (it has expired, and its key is not known
 * to others). 0: it is on disk. -1 with errno: EINVAL: the pair does not parse; else the list
 * cannot be read or written, and the entry counts only in this process until revoked_retry()
 * has written it. wall_ms: when it was revoked. */
int revoked_add(const struct store *store, const struct pem_pair *pair, unsigned reason,
                uint64_t wall_ms);

/* Writes entries that could not be written, every 10 s; a failure is logged once, and so is its
 * end. revoked_note(): what is wrong with the file meanwhile, or with its mode, for the status;
 * "": nothing. */
void revoked_retry(const struct store *store, uint64_t now_ms);
const char *revoked_note(void);

/* Adds the generations of this directory that are marked as revoked and not on the list: their
 * mark was written, then the process was killed or the list could not be written. true: all
 * are on disk, so that none of them is needed any more. */
bool revoked_list_marked(const struct store *store, const char *dir);
/* The same for all directories of certs/. In a store that is not ours, they are known to this
 * process only, and to revoked_at() there. */
void revoked_list_all(struct store *store);

/* Can the list be read? No list counts as an empty one. false: why says what is wrong, and what
 * follows; a pair may be on the list, and revoked_at() knows only what was read before. This is
 * logged once, until the list can be read again. */
bool revoked_readable(const struct store *store, char why[TABLE_NOTE]);

/* When this pair was revoked, or its key compromised, in milliseconds since 1970; 0: not, as
 * far as is known (revoked_readable()). dir and generation: where the pair is stored and may be
 * marked as revoked; dir NULL: nowhere. */
uint64_t revoked_at(const struct store *store, const char *dir, uint32_t generation,
                    const struct pem_pair *pair);

/* Is this very certificate on the list, and not only another one with its key? */
bool revoked_itself(const struct store *store, const struct pem_pair *pair);
/* Is only its key on the list? It was not revoked, but others may know its key. */
bool revoked_by_key(const struct store *store, const struct pem_pair *pair);

/* Grows with each new entry, and each time that the list is read: other live certificates may
 * be on it, or have the same key. */
uint32_t revoked_epoch(void);

#endif
