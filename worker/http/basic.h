/* The credentials of HTTP Basic (RFC 7617). Worker only, pure. */
#ifndef WORKER_HTTP_BASIC_H
#define WORKER_HTTP_BASIC_H

#include <stdbool.h>

#include "base/str.h"

enum {
    BASIC_USER_MAX = 64,      /* bytes of a name; users cannot have a longer one */
    BASIC_PASSWORD_MAX = 255, /* bytes of a password; bcrypt uses the first 72 */
    BASIC_MAX = BASIC_USER_MAX + 1 + BASIC_PASSWORD_MAX,
};

/* Decodes the value of an Authorization field to buf; user and password point there. false: it
 * is of another scheme, malformed, or beyond the limits. The name is printable ASCII; the
 * password may have any byte except NUL. */
bool basic_decode(struct str value, char buf[BASIC_MAX], struct str *user,
                  struct str *password);

#endif
