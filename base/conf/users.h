/*
 * conf/users.h - a file of users for HTTP Basic: one "name:hash" a line, in the form that
 * htpasswd(1) writes. Empty lines, and lines that begin with "#", are skipped.
 *
 * Pure. Only hashes that are slow by design are taken: bcrypt ($2a$, $2b$, $2y$) and SHA-crypt
 * ($5$, $6$), with bounded costs, so that one password cannot occupy a CPU for long.
 */
#ifndef BASE_CONF_USERS_H
#define BASE_CONF_USERS_H

#include <stdbool.h>

#include "base/str.h"

enum {
    CONF_USERS_BYTES = 1 << 20,    /* in a file */
    CONF_BCRYPT_MAX = 14,          /* cost: about 1 s */
    CONF_SHA_ROUNDS_MAX = 1000000, /* about 1 s */
};

enum conf_users_line { CONF_USERS_BAD, CONF_USERS_NONE, CONF_USERS_USER };

/* Splits a line, which has no newline. *why: what is wrong with a bad one, and what would be
 * right. */
enum conf_users_line conf_users_line(struct str line, struct str *name, struct str *hash,
                                     const char **why);

#endif
