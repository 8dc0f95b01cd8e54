/* Whether a certificate is ordered at all. Pure; acmed only.
 *
 * Ordering begins when the operator has said that he means it: `email` is given, or another
 * `directory` than that of Let's Encrypt, which is the default. From Let's Encrypt nothing is
 * ordered that it would refuse anyway, and count: localhost and other names that are nobody's,
 * private addresses, addresses without the profile for them. Any other CA may be one's own, and
 * is asked for every name. Wildcards need dns-01. What is not ordered stays self-signed. */
#ifndef ACMED_ORDER_POLICY_H
#define ACMED_ORDER_POLICY_H

#include <stdbool.h>

struct conf;
struct conf_cert;

/* NULL: order it. Else why not, and what to change, in plain words; *meant tells whether the
 * operator will want to know, because it looks as if he meant it. */
const char *policy_refuses(const struct conf *conf, const struct conf_cert *cert, bool *meant);

/* Is this the name or address of nobody on the public Internet? */
bool policy_private(const char *name);

/* Is it for names of this machine only? Nobody expects a CA to sign for these. */
bool policy_here(const struct conf_cert *cert);

#endif
