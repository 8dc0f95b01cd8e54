/* Where a redirect leads. Worker only, pure. */
#ifndef WORKER_HTTP_REDIRECT_H
#define WORKER_HTTP_REDIRECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/http.h"

/*
 * Writes https://host[:port]/target, for the redirect from plain HTTP, to out: the host that
 * the client named (without its port, not empty), and `port` if it is not 443. Length or -1.
 */
ssize_t redirect_location(char *out, size_t cap, const struct http_request *, struct str host,
                          uint16_t port);

#endif
