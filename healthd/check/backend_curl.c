#include "healthd/check/backend_curl.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf/conf.h"

enum { URL_MAX = 2 * CONF_HOST_LEN + CONF_PATH_LEN + 32 };

/* The same policy as that of the workers, name included, so libcurl's own check is off. */
static CURLcode on_context(CURL *easy, void *context, void *arg)
{
    struct backend_curl *bc = arg;
    SSL_CTX *ctx = context;

    (void)easy;
    if (backend_tls_setup(ctx, bc->tls, bc->why, sizeof bc->why) < 0 ||
        backend_tls_expect(SSL_CTX_get0_param(ctx), bc->name) < 0)
        return CURLE_SSL_CERTPROBLEM;
    return CURLE_OK;
}

static int set_tls(struct backend_curl *bc, CURL *easy, const char *host, uint16_t port)
{
    char to[CONF_HOST_LEN + 32];

    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, bc->said);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, bc->tls->verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Otherwise the CAs of one pool would be used for the next: libcurl takes those of its
     * first handshake for those of the system. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
#endif
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, bc);
    snprintf(to, sizeof to, "::%s:%u", host, port);
    bc->map = curl_slist_append(NULL, to);
    if (!bc->map)
        return -1;
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, bc->map);
    return 0;
}

int backend_curl_set(struct backend_curl *bc, void *easy, const struct conf_pool *pool,
                     const struct conf_backend *b, bool plain, const char *at, uint16_t port,
                     const char *path)
{
    char url[URL_MAX], host[CONF_HOST_LEN + 3];
    const char *name;

    bc->tls = pool->tls.enabled && !plain ? &pool->tls : NULL;
    snprintf(host, sizeof host, !at && strchr(b->host, ':') ? "[%s]" : "%s", at ? at : b->host);
    if (*b->socket && (!at || port == b->port))
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, b->socket);
    if (bc->tls) {
        bc->name = name = backend_tls_name(bc->tls, b);
        snprintf(url, sizeof url, strchr(name, ':') ? "https://[%s]:%u%s" : "https://%s:%u%s",
                 name, port, path);
        if (set_tls(bc, easy, host, port) < 0)
            return -1;
    } else {
        snprintf(url, sizeof url, "http://%s:%u%s", host, port, path);
    }
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, bc->tls ? "https" : "http");
    return 0;
}

void backend_curl_release(struct backend_curl *bc)
{
    curl_slist_free_all(bc->map);
    bc->map = NULL;
}

/* libcurl tells OpenSSL's code only in its text: "... error:0A00010B:SSL routines:: ...". */
static unsigned long code_in(const char *text)
{
    const char *at = strstr(text, "error:");

    return at ? strtoul(at + 6, NULL, 16) : 0;
}

const char *backend_curl_tls_text(const struct backend_curl *bc, void *easy, int code)
{
    unsigned long error = code_in(bc->said);
    long result = 0;

    if (!bc->tls)
        return NULL;
    if (*bc->why)
        return bc->why;
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
        return backend_tls_verify_text(result);
    }
    if (error || code == CURLE_SSL_CONNECT_ERROR)
        return backend_tls_error_text(error);
    return NULL;
}
