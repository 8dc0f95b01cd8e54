/* Deletes a certificate that no configuration names any more from the store: its generations
 * (STORE/certs/DIR), and the state of its orders (STORE/orders/DIR).
 *
 * Both directories are first renamed to ".deleted-PID", which no certificate can have, and then
 * emptied. So a certificate exists or is gone: what a crash leaves of the rest is removed by
 * the next deletion, or by acmed at its start. The caller must make sure that no service uses
 * the certificate. No OpenSSL. */
#ifndef ACMED_CERT_STORE_DELETE_H
#define ACMED_CERT_STORE_DELETE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/certs.h"

/* Does the store have anything of this certificate? *generations: how many there are. */
bool store_knows(const char *path, const char *dir, uint32_t *generations);

/* 0, or -1 with errno; ENOENT: there was nothing. May be called again after any failure. */
int store_delete(const char *path, const char *dir);

/* Removes what a crash left of earlier deletions. */
void store_sweep(const char *path);

/* Calls see() for each directory of certs/ that can belong to a certificate. */
void store_each(const char *path, void (*see)(void *to, const char *dir), void *to);

/* Can it be one of these directories? */
bool store_is_dir(const char *name);

#endif
