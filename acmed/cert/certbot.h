/* Imports certificates and account from certbot, without a new order.
 *
 * certbot's tree is DIR/live/NAME/{fullchain,privkey}.pem,
 * DIR/accounts/SERVER/ID/{private_key,regr}.json, and DIR/renewal/NAME.conf, which is only used
 * for hints. Nothing in it is changed.
 *
 * For `pasgate cert import`, which runs while no service uses the store: first it reads, as the
 * user who may read keys; then it writes, as the user who owns the store. */
#ifndef ACMED_CERT_CERTBOT_H
#define ACMED_CERT_CERTBOT_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct certbot;

/* Reads the whole tree. NULL with errno: there is no such tree. */
struct certbot *certbot_read(const struct conf *conf, const char *dir);
void certbot_free(struct certbot *certbot); /* wipes; takes NULL */

/* Writes what is useful to the store, which must not be in use, and reports on out what became
 * of each item; with dry_run it only reports. 0: something was imported, or was there already;
 * -1: nothing was, or the store could not be written. */
int certbot_import(struct certbot *certbot, bool dry_run, FILE *out);

#endif
