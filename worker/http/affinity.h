/* Affinity's pure part: what marks a session as belonging to an instance, in
 * cookies and paths. Slices in, slices out; bounded, no I/O, no allocation.
 *
 * A tag is "~" and 16 bytes of base64url: 32 bits that name the instance and a
 * keyed hash (SipHash-2-4, 64 bits) over these and the value that it is put
 * behind. So it holds for one session only, a client cannot make one, and every
 * process that has the key understands it, whatever was before. The instance's
 * number is a keyed hash of its name, which therefore is not told.
 *
 * Only what such a hash proves to be a tag is ever taken off: every other value
 * is passed on byte for byte. */
#ifndef WORKER_HTTP_AFFINITY_H
#define WORKER_HTTP_AFFINITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/str.h"

enum {
    AFFINITY_KEY = 2 * SIPHASH_KEY,
    AFFINITY_TOKEN = 16,               /* bytes of base64url */
    AFFINITY_TAG = 1 + AFFINITY_TOKEN, /* "~" before them */
    AFFINITY_LOOKS = 8, /* sessions looked at in one request; browsers send one per path */
};

struct affinity_key {
    struct siphash_key tag, name;
};

struct affinity_key affinity_key(const uint8_t bytes[AFFINITY_KEY]);

/* The number of an instance of that name. */
uint32_t affinity_id(const struct affinity_key *, struct str name);

/* The tag of a value, and whether a value is one with its tag: then *bare is what
 * affinity_tag() was given. */
void affinity_tag(char out[AFFINITY_TAG], const struct affinity_key *, uint32_t id,
                  struct str value);
bool affinity_untag(const struct affinity_key *, struct str value, struct str *bare,
                    uint32_t *id);

/* The same token alone, as the value of a cookie of our own; purpose: its name. */
void affinity_token(char out[AFFINITY_TOKEN], const struct affinity_key *, uint32_t id,
                    struct str purpose);
bool affinity_token_check(const struct affinity_key *, struct str token, struct str purpose,
                          uint32_t *id);

/* Hash of a connection handle, or of what else tells sessions apart, for the table; never 0. */
uint64_t affinity_handle(const struct affinity_key *, struct str handle);

struct affinity_cookie {
    struct str value; /* without white space and quotes around it */
    struct str whole; /* the cookie up to where the next one begins */
};

/* Takes the next cookie of that name off *cookies (the value of a Cookie field).
 * false: there is none. */
bool affinity_next_cookie(struct str *cookies, struct str name, struct affinity_cookie *cookie);

/* The cookie's value in a Set-Cookie, as above; false: it is another cookie. */
bool affinity_set_cookie(struct str field, struct str name, struct str *value);

/* Takes up to the next value of ;jsessionid= off *path, which may have a query and a
 * fragment behind: those are not looked at. */
bool affinity_next_param(struct str *path, struct str *value);

/* The value of an argument in a query with its '?'; empty: none. */
struct str affinity_argument(struct str query, struct str name);

/* Tomcat's jvmRoute: what follows the first dot of a session's value, or the last
 * one. Empty: none. */
struct str affinity_route(struct str value, bool last);

#endif
