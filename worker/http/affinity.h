/* The pure part of affinity: the marks in cookies and paths which say that a session belongs to
 * a backend. Slices in, slices out; bounded, no I/O, no allocation.
 *
 * A tag is "~" and 16 bytes of base64url: 32 bits that identify the backend, and a keyed hash
 * (SipHash-2-4, 64 bits) over these bits and the value to which the tag is appended. So a tag
 * is valid for one session only, a client cannot forge one, and every process that has the key
 * understands it without any stored state. The backend's number is a keyed hash of its name, so
 * the tag does not disclose the name.
 *
 * A tag is only removed if its hash proves that it is one: every other value is passed on byte
 * for byte. */
#ifndef WORKER_HTTP_AFFINITY_H
#define WORKER_HTTP_AFFINITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/str.h"

enum {
    AFFINITY_KEY = 2 * SIPHASH_KEY,
    AFFINITY_TOKEN = 16,               /* bytes of base64url */
    AFFINITY_TAG = 1 + AFFINITY_TOKEN, /* with the "~" in front */
    AFFINITY_LOOKS = 8,                /* limit of sessions examined in one request */
};

struct affinity_key {
    struct siphash_key tag, name;
};

struct affinity_key affinity_key(const uint8_t bytes[AFFINITY_KEY]);

/* The number of a backend, from its name. */
uint32_t affinity_id(const struct affinity_key *, struct str name);

/* affinity_tag() makes the tag of a value. affinity_untag() checks whether a value ends with
 * its tag; *bare is then the value that was given to affinity_tag(). */
void affinity_tag(char out[AFFINITY_TAG], const struct affinity_key *, uint32_t id,
                  struct str value);
bool affinity_untag(const struct affinity_key *, struct str value, struct str *bare,
                    uint32_t *id);

/* The same token alone, as the value of pasgate's own cookie; purpose: the cookie's name. */
void affinity_token(char out[AFFINITY_TOKEN], const struct affinity_key *, uint32_t id,
                    struct str purpose);
bool affinity_token_check(const struct affinity_key *, struct str token, struct str purpose,
                          uint32_t *id);

/* Hash of a connection handle, or of another text that identifies a session, for the table;
 * never 0. */
uint64_t affinity_handle(const struct affinity_key *, struct str handle);

struct affinity_cookie {
    struct str value; /* without surrounding white space and quotes */
    struct str whole; /* the cookie up to the beginning of the next one */
};

/* Takes the next cookie of that name from *cookies (the value of a Cookie field). false: there
 * is none. */
bool affinity_next_cookie(struct str *cookies, struct str name, struct affinity_cookie *cookie);

/* The cookie's value in a Set-Cookie, as above; false: it is a different cookie. */
bool affinity_set_cookie(struct str field, struct str name, struct str *value);

/* Advances *path behind the next ;jsessionid= value. A query and a fragment may follow the
 * path; they are not searched. */
bool affinity_next_param(struct str *path, struct str *value);

/* The value of an argument in a query that begins with '?'; empty: none. */
struct str affinity_argument(struct str query, struct str name);

/* Tomcat's jvmRoute: what follows the first dot of a session's value, or the last one (last).
 * Empty: none. */
struct str affinity_route(struct str value, bool last);

#endif
