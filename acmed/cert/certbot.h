/* Moving over from certbot: its certificates and its account become ours, without a new order.
 *
 * certbot's tree is DIR/live/NAME/{fullchain,privkey}.pem, DIR/accounts/SERVER/ID/
 * {private_key,regr}.json, and DIR/renewal/NAME.conf, which is read for hints only. Nothing in
 * it is changed.
 *
 * For `pasgate cert import`, which runs while no service uses the store: first reads, as the
 * user who may read keys; then writes, as the one whom the store belongs to. */
#ifndef ACMED_CERT_CERTBOT_H
#define ACMED_CERT_CERTBOT_H

#include <stdbool.h>
#include <stdio.h>

struct conf;
struct certbot;

/* Reads all that the tree holds. NULL with errno: there is no such tree. */
struct certbot *certbot_read(const struct conf *conf, const char *dir);
void certbot_free(struct certbot *certbot); /* wipes; takes NULL */

/* Writes what is of use to the store, which must not be in use, and tells out of each thing
 * what became of it; with dry_run it only tells. 0: something came over, or was there already;
 * -1: nothing, or the store did not take it. */
int certbot_import(struct certbot *certbot, bool dry_run, FILE *out);

#endif
