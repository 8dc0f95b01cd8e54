/* The store: where key and chain of every generation of a certificate stand.
 *
 *   STORE/certs/FOLDER/GENERATION/fullchain.pem   leaf first; FOLDER: shm/certs.h
 *                                 key.pem
 *                                 meta            "source=self|file|acme", and of a
 *                                                 rollback "of=GENERATION", its origin
 *                                 revoked         is there when it was, while live
 *                     /current    link to the generation that is live
 *                     /.bad-N     generation N, which no worker could use
 *                .revoked         what must not go live again, by content (cert/revoked.h)
 *
 * acmed alone writes it. A generation is complete or not there: it is written
 * to a folder ".new-...", synced, renamed, and the folder above synced. What
 * is there never changes. One is live when `current` names it, which is one link
 * per pair, exchanged by rename: also another program reads a key and a chain
 * that belong together. Newer ones are not proved yet. Numbers never come back,
 * because the highest on disk is never pruned.
 *
 * Folders are 0750 and files 0640, keys too: workers may run under a user of
 * their own that shares only the group with acmed. Nobody else may look. */
#ifndef ACMED_CERT_STORE_H
#define ACMED_CERT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/certs.h"

enum {
    STORE_KEEP = 3,             /* pairs: the live one and two before it */
    STORE_PEM_MAX = 256 * 1024, /* bytes of a PEM file */
};

struct store {
    int certs_fd; /* of STORE/certs; -1: could not be opened */
    bool ours;    /* locked; else it may be read only */
    const char *path;
};

/* Two PEM texts, both secrets (key/secret.h): the chain may come of a file that holds the key,
 * too. A NUL stands behind each. */
struct pem_pair {
    char *chain, *key;
    size_t n_chain, n_key;
};

/* Wipes and frees both; {0} again. */
void pem_pair_release(struct pem_pair *pair);

/* Opens, and makes, the folder, and locks it: two services on one store would
 * prune each other's generations, and order twice. 0: it is ours. -1 with errno;
 * EBUSY: another service has it, and what stands there may be read; else it
 * cannot be opened at all. May be called again at any time, and then takes what
 * was missing. path lives as long as the store, which begins as {.certs_fd = -1}. */
int store_open(struct store *store, const char *path);
/* Only to look into: neither made nor locked. */
void store_peek(struct store *store, const char *path);
void store_release(struct store *store);

/* Is it still where its path leads to? false: it was deleted, or another one stands there; then
 * it is to be released and opened anew. What cannot be looked at now is taken to be there. */
bool store_there(const struct store *store);

/* May it be read and written? folder NULL: the store as such; else what is there of this
 * certificate, and generation, if it is not 0. false: why tells, and what follows. What is not
 * there is not asked for. */
bool store_usable(const char *path, const char *dir, uint32_t generation, char why[TABLE_NOTE]);

/* What an errno of these functions means, in plain words. */
const char *store_says(int error);

/* The generations on disk, newest first, at most max of them; n (0 when there
 * is no such folder), or -1 with errno. */
int store_list(const struct store *store, const char *dir, uint32_t *out, int max);

/* Reads a generation; *source may come out as CERT_NONE when nobody wrote it
 * down. 0, or -1 with errno (EFBIG: not ours). */
int store_read(const struct store *store, const char *dir, uint32_t generation,
               struct pem_pair *pair, enum cert_source *source);

/* Writes a new generation, above `above` and all that were there, and removes
 * what a crash left half-done. Returns its number, or 0 with errno, and then
 * nothing is left behind. */
uint32_t store_write(const struct store *store, const char *dir, uint32_t above,
                     const struct pem_pair *pair, enum cert_source source);

/* The same for one that a rollback leads to: `of` has this pair, too. And which one that is: a
 * further rollback leads to what is older than that one. Else its own number. */
uint32_t store_write_again(const struct store *store, const char *dir, uint32_t above,
                           const struct pem_pair *pair, enum cert_source source, uint32_t of);
uint32_t store_origin(const struct store *store, const char *dir, uint32_t generation);

/* Does this generation stand there, as far as can be seen? */
bool store_has(const struct store *store, const char *dir, uint32_t generation);

/* Which one is live; 0: nobody wrote it down. And writes it down: 0, or -1 with errno and the
 * link as it was. */
uint32_t store_current(const struct store *store, const char *dir);
int store_set_current(const struct store *store, const char *dir, uint32_t generation);

/* No worker can use this generation: sets it aside, so that nobody takes it; the last such one
 * is kept for people. */
void store_reject(const struct store *store, const char *dir, uint32_t generation);

/* The CA has revoked this generation, which is live: it is replaced, also by a successor, and
 * served until then. 0, or -1 with errno. When that was, in milliseconds since 1970; 0: it was
 * not. Whether a pair may go live is another question: revoked_at(). */
int store_mark_revoked(const struct store *store, const char *dir, uint32_t generation);
uint64_t store_marked_revoked(const struct store *store, const char *dir, uint32_t generation);

/* Removes what is older than the STORE_KEEP newest pairs, and copies of newer ones; neither the
 * live one nor the newest. */
void store_prune(const struct store *store, const char *dir);

#endif
