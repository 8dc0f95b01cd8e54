/* HTTP for the restarter: several requests side by side, until a deadline. The only file
 * of the restarter that uses libcurl. One thread. Addresses are literal ones or unix
 * sockets, so that no name has to be resolved. No proxy from the environment, no redirect
 * followed, no kept connection. */
#ifndef HEALTHD_RESTARTER_FETCH_H
#define HEALTHD_RESTARTER_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_backend;
struct conf_pool;

struct fetch {
    /* The request; texts outlive the fetch. NULL or 0 means "none". */
    const char *url; /* http; its host is sent if `host` is NULL. For people if to is set */
    /* Instead of url and socket: this backend, as workers reach it. */
    const struct conf_pool *to;
    const struct conf_backend *backend;
    const char *at, *path; /* as for backend_curl_set() */
    uint16_t port;
    const char *socket; /* path of a unix socket to use instead of the URL's host */
    const char *host;   /* for the Host field */
    const char *login;  /* "name:password" for Basic authentication */
    bool post;          /* POST without a body, otherwise GET */
    uint32_t limit_ms;  /* for the whole fetch */
    size_t max_body;    /* bytes that are kept */
    /* Receives the body of a 2xx response instead, however long it is. */
    void (*sink)(void *arg, const char *bytes, size_t n);
    void *arg;

    /* The response. */
    long status; /* 0: there was none */
    int error;   /* errno of the connect; 0: no connect failure */
    bool cut;    /* the body was longer than max_body, or not complete in time */
    uint32_t took_ms;
    char *body; /* n_body bytes and a NUL; never NULL after the run */
    size_t n_body;
    char trouble[96]; /* why there is no complete response; "" if there is */

    void *running; /* used by libcurl */
};

/* Runs all of them; returns when each has ended, at most limit_ms later. */
void fetch_all(struct fetch *fetch, size_t n, uint32_t limit_ms);

/* Frees what the run allocated: the body. */
void fetch_release(struct fetch *fetch);

#endif
