/* Small files of the store that must survive a crash: accounts, orders, states, ledgers.
 *
 *   STORE/KIND/NAME/FILE     folders 0700, files 0600, NAME as cert_folder() writes it
 *
 * A file is whole or as it was before: temporary file, fsync, rename, fsync of the folder.
 * Their text is lines of "key=value", read strictly and with bounds: a file that is damaged is
 * no file. acmed only. */
#ifndef ACMED_RECORD_H
#define ACMED_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    RECORD_TEXT_MAX = 8 * 1024, /* bytes of a record; ledgers have a limit of their own */
};

/* Opens the folder STORE/kind/name, and with `make` makes it. -1 with errno. */
int record_open(const char *store, const char *kind, const char *name, bool make);

/* 0, or -1 with errno and the old file untouched. */
int record_write(int folder, const char *file, const char *text, size_t n);

/* Heap, NUL-terminated, *n bytes. NULL with errno; EFBIG: longer than max. Links are not
 * followed. */
char *record_read(int folder, const char *file, size_t max, size_t *n);
/* The same for a key, of RECORD_TEXT_MAX bytes at most: a secret (secret.h). */
char *record_read_secret(int folder, const char *file, size_t *n);

/* Removes a file, for good when it returns. */
void record_remove(int folder, const char *file);

/* Cuts the next "key=value\n" off *rest. 1: got one; 0: the end; -1: damaged. */
int record_line(struct str *rest, struct str *key, struct str *value);

/* Values. false: not one, or too long; a text holds no control characters. */
bool record_number(struct str value, uint64_t *out);
bool record_text(struct str value, char *out, size_t cap);

#endif
