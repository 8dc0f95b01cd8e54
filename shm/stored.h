/* The store, as everybody may read it who looks for a pair by what it is, and not by what its
 * folder is called: which folders there are, that which serves or went live last first, and
 * whether a certificate is for some names. acmed (adopt.c) and workers (certs_stored.c), so
 * that both choose alike. No OpenSSL, nothing is written. */
#ifndef SHM_STORED_H
#define SHM_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

/* More folders than any service has; beyond it those are left out whose link is the oldest. */
enum { STORED_LOOKS = 8192 };

/* What the table calls live: of a CA, or of files. Copied, because rows are written anew while
 * somebody looks for what was there. */
struct stored_live {
    size_t n;
    struct stored_row {
        char name[CERT_DIR_SIZE];
        uint32_t generation;
    } * v;
};

/* Of a table without any, or without memory: n is 0. Release takes {0}. */
void stored_live_read(const struct table *table, struct stored_live *live);
void stored_live_release(struct stored_live *live);

struct stored_folder {
    char *name;
    uint32_t generation; /* live, by the table or by the link; 0: nobody wrote it down */
    bool live;           /* by the table */
    uint64_t since_ns;   /* when the link was set; 0: there is none */
};

struct stored {
    struct stored_folder *v; /* in the order in which to look */
    size_t n;
    size_t left_out; /* beyond STORED_LOOKS */
};

/* Of the folder "certs" of the store. 0, or -1 with errno. Release takes {0}. */
int stored_read(int certs_fd, const struct stored_live *live, struct stored *stored);
void stored_release(struct stored *stored);

/* The generation that a name is, or 0: "7", but not "07" and not "7x". */
uint32_t stored_number(const char *name);

/* Which generation of this folder is live by its link; 0: nobody wrote it down. */
uint32_t stored_current(int certs_fd, const char *dir);

/* Whether a certificate with these names (each ended by a NUL, an empty one at the end) is for
 * all that are wanted. A wildcard is for one label, and itself only wanted as it is written. */
bool stored_covers(const char *names, const char *const *wanted, size_t n);

/* The list of what was revoked, which acmed writes into the folder of all certificates: one
 * line for each (acmed/cert/revoked.h). */
#define STORED_REVOKED ".revoked"
enum { STORED_REVOKED_MAX = 1024 * 1024 }; /* bytes of it */

/* Does this list say that the certificate was revoked, or that its key is known to others? Of
 * both the SHA-256, in lower-case hex. Pure. */
bool stored_revoked(const char *list, const char *leaf, const char *key);

#endif
