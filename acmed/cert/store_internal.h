/* Shared by store.c and store_mark.c; no other file includes this. */
#ifndef ACMED_CERT_STORE_INTERNAL_H
#define ACMED_CERT_STORE_INTERNAL_H

#include "acmed/cert/store.h"

/* Names in a generation: its marks, and a mark that is not complete; and before the number of
 * one that was set aside. */
extern const char store_revoked_name[], store_event_name[], store_new_mark[];
extern const char store_bad_prefix[];

/* Opens a certificate's directory for writing, and makes it if wanted; -1 with errno, EBUSY
 * when the store is not ours. */
int store_open_ours(const struct store *store, const char *dir, bool make);
int store_open_generation(const struct store *store, const char *dir, uint32_t generation);

/* Writes a new file, which is on disk when this returns. 0, or -1 with errno. */
int store_write_file(int at, const char *name, const char *text, size_t n);

void store_remove_generation(int dir_fd, const char *name);
/* Removes all generations whose names begin with prefix, but one. */
void store_remove_all(int dir_fd, const char *prefix, const char *but);

#endif
