/* Whether a certificate is ordered from a CA at all. Pure; acmed only.
 *
 * Ordering begins when the operator has opted in: `email` is set, or `directory` is not the
 * default, Let's Encrypt. Let's Encrypt is never asked for names that it would refuse and count
 * as failures: localhost and other reserved names, private addresses, and addresses without the
 * profile for them. Any other CA may be private, and is asked for every name. Wildcards need
 * dns-01. What is not ordered stays self-signed. */
#ifndef ACMED_ORDER_POLICY_H
#define ACMED_ORDER_POLICY_H

#include <stdbool.h>

struct conf;
struct conf_cert;

/* NULL: order it. Else the reason why not, and what to change, in plain words. *meant: the
 * operator should be told, because the configuration looks as if ordering was intended. */
const char *policy_refuses(const struct conf *conf, const struct conf_cert *cert, bool *meant);

/* Whether this name or address cannot exist on the public Internet. */
bool policy_private(const char *name);

/* Whether it is only for names of this machine, for which nobody expects a CA to sign. */
bool policy_here(const struct conf_cert *cert);

#endif
