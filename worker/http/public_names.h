/*
 * Values of response fields in which names of the backend (paths, hosts) become the public
 * ones. Worker only, pure; private to headers.c.
 */
#ifndef WORKER_HTTP_PUBLIC_NAMES_H
#define WORKER_HTTP_PUBLIC_NAMES_H

#include "base/str.h"
#include "worker/http/text_out.h"

struct headers_info;

/* The value of Location or Content-Location as the client must see it. */
void public_names_location(struct text_out *, struct str value, const struct headers_info *);

/* The value of Set-Cookie: Path is mapped, the backend's Domain dropped, a session gets its tag
 * appended, everything else is kept byte for byte. */
void public_names_set_cookie(struct text_out *, struct str value, const struct headers_info *);

#endif
