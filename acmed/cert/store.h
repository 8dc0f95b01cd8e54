/* The store: key and chain of every generation of each certificate.
 *
 *   STORE/certs/DIR/GENERATION/fullchain.pem   leaf first; DIR: shm/certs.h
 *                              key.pem
 *                              meta            "source=self|file|acme", and after a
 *                                              rollback "of=GENERATION", its origin
 *                              revoked         exists if it was revoked:
 *                                              "reason=NUMBER", or nothing
 *                              event           exists until the hook was called for it:
 *                                              "issued" or "renewed", and
 *                                              "calls=NUMBER" of those that began
 *                  /current    link to the generation that is live; on a file system without
 *                              links, a file with its number
 *                  /.bad-N     generation N, which no worker could use
 *             .revoked         what must not go live again, by content (cert/revoked.h)
 *
 * Only acmed writes it, and `pasgate cert import` and `cert delete`. A generation is complete
 * or absent: it is written to a directory ".new-...", synced, renamed, and the parent directory
 * is synced. It never changes afterwards. The live one is the one that `current` names. That is
 * one link per pair, replaced by rename, so that other programs, too, read a key and a chain
 * that belong together. Newer generations have not been tested yet. Numbers are never reused,
 * because the highest one on disk is never pruned.
 *
 * Directories are 0750 and files 0640, keys included: workers may run under a user of their own
 * that shares only the group with acmed. Nobody else may read them. */
#ifndef ACMED_CERT_STORE_H
#define ACMED_CERT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/certs.h"

enum {
    STORE_KEEP = 3,             /* pairs: the live one and two before it */
    STORE_PEM_MAX = 256 * 1024, /* bytes of a PEM file */
    STORE_FILE_MODE = 0640,
};

struct store {
    int certs_fd; /* of STORE/certs; -1: could not be opened */
    bool ours;    /* locked by us; else it may only be read */
    const char *path;
};

/* Two PEM texts, both secrets (key/secret.h), because the chain may come from a file that also
 * holds the key. Each is followed by a NUL. */
struct pem_pair {
    char *chain, *key;
    size_t n_chain, n_key;
};

/* Wipes and frees both, and sets the pair to {0}. */
void pem_pair_release(struct pem_pair *pair);

/* Opens the directory, makes it if necessary, and locks it: two services on one store would
 * prune each other's generations, and order twice. 0: it is ours. -1 with errno; EBUSY: another
 * service has it, and it may be read; else it cannot be opened at all. May be called again at
 * any time, and then completes what was missing. path must outlive the store, which starts as
 * {.certs_fd = -1}. */
int store_open(struct store *store, const char *path);
/* Opens it only for reading; neither makes nor locks it. */
void store_peek(struct store *store, const char *path);
void store_release(struct store *store);

/* Is it still at its path? false: it was deleted or replaced; release it and open it again. If
 * this cannot be checked now, the result is true. */
bool store_there(const struct store *store);

/* May it be read and written? dir NULL: checks the store itself; else what exists there for
 * this certificate, and for generation unless it is 0. What does not exist is skipped. false:
 * why says what is wrong, and what follows. */
bool store_usable(const char *path, const char *dir, uint32_t generation, char why[TABLE_NOTE]);

/* Does an errno of these functions mean that something cannot be read for now, though it may be
 * there and good? Else it is gone, or nothing that we wrote. */
bool store_unreadable(int error);

/* The meaning of an errno of these functions, in plain words. */
const char *store_says(int error);

/* Lists the generations on disk, newest first, at most max; returns how many (0 if there is no
 * such directory), or -1 with errno. */
int store_list(const struct store *store, const char *dir, uint32_t *out, int max);

/* Reads a generation; *source is CERT_NONE if none was noted. 0, or -1 with errno (EFBIG: too
 * large to be ours). */
int store_read(const struct store *store, const char *dir, uint32_t generation,
               struct pem_pair *pair, enum cert_source *source);
/* The same; after a failure, *file is the name of what could not be read, "" for the
 * generation's directory. */
int store_read_where(const struct store *store, const char *dir, uint32_t generation,
                     struct pem_pair *pair, enum cert_source *source, const char **file);

/* Writes a new generation, numbered above `above` and above all existing ones, and removes what
 * a crash left half-done. Returns its number, or 0 with errno; then nothing is left behind. */
uint32_t store_write(const struct store *store, const char *dir, uint32_t above,
                     const struct pem_pair *pair, enum cert_source source);

/* The same for a rollback; `of` is the generation that this pair was copied from.
 * store_origin() returns that number, so that the next rollback goes to something older; for
 * others, the generation's own number. */
uint32_t store_write_again(const struct store *store, const char *dir, uint32_t above,
                           const struct pem_pair *pair, enum cert_source source, uint32_t of);
uint32_t store_origin(const struct store *store, const char *dir, uint32_t generation);

/* Does this generation exist, as far as can be seen? */
bool store_has(const struct store *store, const char *dir, uint32_t generation);

/* The live one; 0: none is noted, or the link cannot be read (errno). store_set_current() notes
 * it: 0, or -1 with errno and the link unchanged. */
uint32_t store_current(const struct store *store, const char *dir);
int store_set_current(const struct store *store, const char *dir, uint32_t generation);

/* No worker can use this generation: sets it aside, so that it is never loaded. Only the last
 * such one is kept, for people to look at. */
void store_reject(const struct store *store, const char *dir, uint32_t generation);

/* The CA has revoked this generation. If it is live, it is replaced, also by a successor, and
 * served until then; else it does not go live again. reason: of RFC 5280, for the list
 * (cert/revoked.h), which is written after this. The first mark stays. 0, or -1 with errno;
 * then there is no mark, or one that is not known to be on disk. store_marked_revoked(): when
 * that was, in milliseconds since 1970; 0: not revoked. Whether a pair may go live is another
 * question: revoked_at(). store_marked_reason(): 0 if none was noted. */
int store_mark_revoked(const struct store *store, const char *dir, uint32_t generation,
                       unsigned reason);
uint64_t store_marked_revoked(const struct store *store, const char *dir, uint32_t generation);
unsigned store_marked_reason(const struct store *store, const char *dir, uint32_t generation);

/* The event that the hook is to be called for because this generation went live: noted before
 * that, and dropped after the call, so that no crash loses it. 0, or -1 with errno.
 * store_event(): NULL if none is noted. */
int store_put_event(const struct store *store, const char *dir, uint32_t generation,
                    const char *event);
const char *store_event(const struct store *store, const char *dir, uint32_t generation);
/* The calls for it, noted before each begins. store_note_calls(): 0, also without an event; or
 * -1 with errno. */
struct store_calls {
    unsigned begun; /* except those that count as cut */
    unsigned cut;   /* acmed ended in good order meanwhile, for example because of a reload */
};
struct store_calls store_event_calls(const struct store *store, const char *dir,
                                     uint32_t generation);
int store_note_calls(const struct store *store, const char *dir, uint32_t generation,
                     struct store_calls calls);
void store_drop_event(const struct store *store, const char *dir, uint32_t generation);

/* Replaces a file of STORE/certs itself (cert/revoked.h). 0, or -1 with errno and, unless only
 * the last fsync failed, the old file unchanged. */
int store_put_file(const struct store *store, const char *name, const char *text, size_t n);

/* Removes what is older than the STORE_KEEP newest pairs, and copies of newer ones; never the
 * live generation or the newest. A mark goes with its generation, so that what is marked as
 * revoked must be on the list (revoked_list_marked()). */
void store_prune(const struct store *store, const char *dir);

#endif
