/* Small files in the store that must survive a crash: accounts, orders, states, rate logs.
 *
 *   STORE/KIND/NAME/FILE     directories 0700, files 0600, NAME as cert_dir() writes it
 *
 * Writes are atomic: temporary file, fsync, rename, fsync of the directory. If the last step
 * fails, the old file is put back. The text is lines of "key=value", read strictly and with
 * bounds; a damaged file counts as missing. acmed only. */
#ifndef ACMED_ORDER_KVFILE_H
#define ACMED_ORDER_KVFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    KVFILE_TEXT_MAX = 8 * 1024, /* bytes of a file; rate logs have a limit of their own */
};

/* Opens the directory STORE/kind/name; with `make`, creates it if needed. -1 with errno. */
int kvfile_open(const char *store, const char *kind, const char *name, bool make);

/* Whether this open directory was deleted. */
bool kvfile_gone(int dir);

/* 0, or -1 with errno and the old file unchanged. */
int kvfile_write(int dir, const char *file, const char *text, size_t n);

/* Heap, NUL-terminated, *n bytes. NULL with errno; EFBIG: longer than max. Does not follow
 * symbolic links. */
char *kvfile_read(int dir, const char *file, size_t max, size_t *n);
/* The same for a key of at most KVFILE_TEXT_MAX bytes, as a secret (key/secret.h). */
char *kvfile_read_secret(int dir, const char *file, size_t *n);

/* Removes a file; the removal is on disk on return. */
void kvfile_remove(int dir, const char *file);

/* Cuts the next "key=value\n" off *rest. 1: found; 0: end; -1: damaged. */
int kvfile_line(struct str *rest, struct str *key, struct str *value);

/* Parse a value. false: invalid or too long; a text must not contain control characters. */
bool kvfile_number(struct str value, uint64_t *out);
bool kvfile_text(struct str value, char *out, size_t cap);

#endif
