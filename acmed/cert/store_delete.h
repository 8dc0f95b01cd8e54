/* Taking a certificate out of the store for good, when no configuration names it any more: its
 * generations (STORE/certs/FOLDER), and what is known of its orders (STORE/orders/FOLDER).
 *
 * Both folders are first renamed to ".deleted-PID", which nobody takes for a certificate,
 * and then emptied. So a certificate is there or gone: what a crash leaves of the rest, the
 * next one who deletes removes, and acmed at its start. Whoever calls this has made sure that
 * no service uses that certificate. No OpenSSL. */
#ifndef ACMED_CERT_STORE_DELETE_H
#define ACMED_CERT_STORE_DELETE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/certs.h"

/* Is there anything of this certificate? *generations: how many there are. */
bool store_knows(const char *path, const char *dir, uint32_t *generations);

/* 0, or -1 with errno; ENOENT: there was nothing. May be called again after any failure. */
int store_delete(const char *path, const char *dir);

/* What a crash left of earlier ones. */
void store_sweep(const char *path);

/* Calls see() with each folder of certs/ that a certificate may have. */
void store_each(const char *path, void (*see)(void *to, const char *dir), void *to);

/* Can it be one of these folders? */
bool store_is_dir(const char *name);

#endif
