/* Small files of the store that must survive a crash: accounts, orders, states, ledgers.
 *
 *   STORE/KIND/NAME/FILE     folders 0700, files 0600, NAME as cert_dir() writes it
 *
 * A file is whole or as it was before: temporary file, fsync, rename, fsync of the folder.
 * Their text is lines of "key=value", read strictly and with bounds: a file that is damaged is
 * no file. acmed only. */
#ifndef ACMED_ORDER_KVFILE_H
#define ACMED_ORDER_KVFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    KVFILE_TEXT_MAX = 8 * 1024, /* bytes of a record; ledgers have a limit of their own */
};

/* Opens the folder STORE/kind/name, and with `make` makes it. -1 with errno. */
int kvfile_open(const char *store, const char *kind, const char *name, bool make);

/* Was this open folder deleted? */
bool kvfile_gone(int dir);

/* 0, or -1 with errno and the old file untouched. */
int kvfile_write(int dir, const char *file, const char *text, size_t n);

/* Heap, NUL-terminated, *n bytes. NULL with errno; EFBIG: longer than max. Links are not
 * followed. */
char *kvfile_read(int dir, const char *file, size_t max, size_t *n);
/* The same for a key, of KVFILE_TEXT_MAX bytes at most: a secret (key/secret.h). */
char *kvfile_read_secret(int dir, const char *file, size_t *n);

/* Removes a file, for good when it returns. */
void kvfile_remove(int dir, const char *file);

/* Cuts the next "key=value\n" off *rest. 1: got one; 0: the end; -1: damaged. */
int kvfile_line(struct str *rest, struct str *key, struct str *value);

/* Values. false: not one, or too long; a text holds no control characters. */
bool kvfile_number(struct str value, uint64_t *out);
bool kvfile_text(struct str value, char *out, size_t cap);

#endif
