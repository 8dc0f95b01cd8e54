/* Connections that keep OpenSSL's record buffers from one request to the next.
 *
 * OpenSSL frees a connection's two buffers of 17 KiB when nothing is left in them, so that idle
 * connections need no memory, and allocates them again for the next request, which costs more
 * than 2 % of what a request costs. The connections in use, a bounded number of them, keep
 * theirs. */
#include <openssl/ssl.h>

#include "worker/tls/internal.h"

static void take_place(struct tls_conn *conn, unsigned place)
{
    conn->engine->warm[place] = conn;
    conn->place = (uint8_t)(place + 1);
    SSL_clear_mode(conn->ssl, SSL_MODE_RELEASE_BUFFERS);
}

static void lose_place(struct tls_conn *conn)
{
    conn->engine->warm[conn->place - 1] = NULL;
    conn->place = 0;
    SSL_set_mode(conn->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_free_buffers(conn->ssl); /* not if a part of a record waits there: then it is last */
}

void tls_warm_written(struct tls_conn *conn)
{
    struct tls_engine *engine = conn->engine;
    uint64_t pause = ++engine->writes - conn->written;
    struct tls_conn *other;
    unsigned place;

    conn->written = engine->writes;
    if (conn->place)
        return;
    place = engine->hand++ % TLS_WARM;
    other = engine->warm[place];
    /* Only a connection that has been silent for longer than this one was makes way, so that
     * many equally busy ones do not take the places from each other again and again. */
    if (other && engine->writes - other->written <= pause)
        return;
    if (other)
        lose_place(other);
    take_place(conn, place);
}

void tls_warm_gone(struct tls_conn *conn)
{
    if (conn->place)
        conn->engine->warm[conn->place - 1] = NULL;
}
