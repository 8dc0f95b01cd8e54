/* The certificate store for readers that look for a key pair by what it contains instead of by
 * its directory's name: which directories there are, the one that is live, or went live last,
 * first, and whether a certificate covers some names. Used by acmed (adopt.c) and workers
 * (certs_stored.c), so that both choose alike. No OpenSSL; writes nothing. */
#ifndef SHM_STORED_H
#define SHM_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

/* More directories than any service has; beyond it those with the oldest link are left out. */
enum { STORED_LOOKS = 8192 };

/* The certificates that the table calls live: of a CA, or of files. Copied, because rows may be
 * rewritten while a caller searches the store. */
struct stored_live {
    size_t n;
    struct stored_row {
        char name[CERT_DIR_SIZE];
        uint32_t generation;
    } * v;
};

/* Without any in the table, or without memory, n is 0. Release accepts {0}. */
void stored_live_read(const struct table *table, struct stored_live *live);
void stored_live_release(struct stored_live *live);

struct stored_folder {
    char *name;
    uint32_t generation; /* live, by the table or by the link; 0: not recorded */
    bool live;           /* by the table */
    uint64_t since_ns;   /* when the link was set; 0: no link */
};

struct stored {
    struct stored_folder *v; /* in the order in which to search */
    size_t n;
    size_t left_out; /* beyond STORED_LOOKS */
};

/* Reads the directory "certs" of the store. 0, or -1 with errno. Release accepts {0}. */
int stored_read(int certs_fd, const struct stored_live *live, struct stored *stored);
void stored_release(struct stored *stored);

/* The generation that a directory's name stands for, or 0: "7", but not "07" and not "7x". */
uint32_t stored_number(const char *name);

/* The generation of this directory that is live by its link; 0: not recorded. */
uint32_t stored_current(int certs_fd, const char *dir);

/* Does a certificate with these names (each ended by a NUL, an empty one at the
 * end) cover all that are wanted? A wildcard covers one label, and is itself
 * covered only by the same wildcard. */
bool stored_covers(const char *names, const char *const *wanted, size_t n);

/* The list of revoked certificates that acmed writes into the directory of all certificates,
 * one line for each (acmed/cert/revoked.h). */
#define STORED_REVOKED ".revoked"
enum { STORED_REVOKED_MAX = 1024 * 1024 }; /* bytes of the list */

/* Does this list say that the certificate was revoked, or that its key was compromised? leaf,
 * key: their SHA-256 in lower-case hex. Pure. */
bool stored_revoked(const char *list, const char *leaf, const char *key);

#endif
