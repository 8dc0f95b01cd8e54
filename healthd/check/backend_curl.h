/* How libcurl reaches a backend, in the same way as the workers do: TLS, unix socket. Used by
 * checks and by the restarter's questions. One thread. */
#ifndef HEALTHD_CHECK_BACKEND_CURL_H
#define HEALTHD_CHECK_BACKEND_CURL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf/backend_tls.h"

struct conf_backend;
struct conf_pool;
struct curl_slist;

/* Belongs to one handle and must outlive it; zero it before use. */
struct backend_curl {
    const struct conf_pool_tls *tls; /* NULL: plain */
    const char *name;                /* expected in the certificate */
    struct curl_slist *map;
    char said[256];            /* by libcurl */
    char why[BACKEND_TLS_WHY]; /* no context could be made; "": it could */
};

/* Sets URL and what belongs to it. plain: without TLS, whatever the pool says. at: an address,
 * as it is written in a URL, instead of the backend's host; NULL: none. path begins with a
 * slash. 0, or -1 without memory. pool and backend must outlive it. */
int backend_curl_set(struct backend_curl *bc, void *easy, const struct conf_pool *pool,
                     const struct conf_backend *backend, bool plain, const char *at,
                     uint16_t port, const char *path);
void backend_curl_release(struct backend_curl *bc);

/* After an error (a CURLcode): what was wrong with TLS, as "its certificate has expired". NULL:
 * the error has another reason. Lives as long as bc. */
const char *backend_curl_tls_text(const struct backend_curl *bc, void *easy, int code);

#endif
