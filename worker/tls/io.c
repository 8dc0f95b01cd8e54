/* The shared areas, the bytes that wait outside them, and the BIO that connects OpenSSL to
 * them. */
#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/check.h"
#include "worker/tls/internal.h"

enum { TLS_IOV = 12 }; /* blocks per sendmsg(2), and the send area */

void tls_io_fail(struct tls_conn *conn, const char *why)
{
    conn->dead = true;
    if (!conn->error)
        conn->error = why;
}

static const char *errno_text(int error)
{
    switch (error) {
    case ECONNRESET:
        return "reset by peer";
    case EPIPE:
        return "closed by peer";
    case ETIMEDOUT:
        return "connection timed out";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "peer is unreachable";
    default:
        return "socket error";
    }
}

/* ---- chains */

static bool chain_add(struct tls_conn *conn, struct tls_chain *chain, const uint8_t *p,
                      size_t n)
{
    while (n) {
        struct tls_block *block = chain->tail;

        if (!block || block->end == sizeof block->bytes) {
            if (!(block = mempool_acquire(&conn->engine->blocks)))
                return false;
            block->next = NULL;
            block->at = block->end = 0;
            if (chain->tail)
                chain->tail->next = block;
            else
                chain->head = block;
            chain->tail = block;
        }
        size_t room = sizeof block->bytes - block->end;
        size_t part = n < room ? n : room;
        memcpy(block->bytes + block->end, p, part);
        block->end += (uint32_t)part;
        chain->n += part;
        p += part;
        n -= part;
    }
    return true;
}

static void chain_skip(struct tls_conn *conn, struct tls_chain *chain, size_t n)
{
    CHECK(n <= chain->n);
    chain->n -= n;
    while (chain->head) {
        struct tls_block *block = chain->head;
        size_t has = block->end - block->at;

        if (n < has) {
            block->at += (uint32_t)n;
            return;
        }
        n -= has;
        chain->head = block->next;
        mempool_return(&conn->engine->blocks, block);
    }
    chain->tail = NULL;
}

/* ---- areas */

static void area_clear(struct tls_area *area)
{
    area->owner = NULL;
    area->at = area->end = 0;
}

/* Takes the area for this connection: bytes that another connection left in it move to the
 * chain of that one. */
static void area_take(struct tls_area *area, struct tls_conn *conn)
{
    struct tls_conn *owner = area->owner;

    if (owner == conn)
        return;
    if (owner && !chain_add(owner, area == &conn->engine->rx ? &owner->in : &owner->out,
                            area->bytes + area->at, area->end - area->at))
        tls_io_fail(owner, "out of memory");
    area_clear(area);
    area->owner = conn;
}

static size_t area_has(const struct tls_area *area, const struct tls_conn *conn)
{
    return area->owner == conn ? area->end - area->at : 0;
}

size_t tls_io_input(const struct tls_conn *conn)
{
    return conn->in.n + area_has(&conn->engine->rx, conn);
}

void tls_io_note_first(struct tls_conn *conn)
{
    const struct tls_area *rx = &conn->engine->rx;
    size_t room = sizeof conn->first - conn->nfirst, n = rx->end - rx->at;

    n = n < room ? n : room;
    memcpy(conn->first + conn->nfirst, rx->bytes + rx->at, n);
    conn->nfirst += (uint8_t)n;
}

uint64_t tls_handed(const struct tls_conn *conn)
{
    return conn->handed;
}

size_t tls_waiting(const struct tls_conn *conn)
{
    return conn->out.n + area_has(&conn->engine->tx, conn);
}

void tls_io_drop(struct tls_conn *conn)
{
    struct tls_engine *engine = conn->engine;

    if (engine->rx.owner == conn)
        area_clear(&engine->rx);
    if (engine->tx.owner == conn)
        area_clear(&engine->tx);
    chain_skip(conn, &conn->in, conn->in.n);
    chain_skip(conn, &conn->out, conn->out.n);
}

int tls_io_receive(struct tls_conn *conn, size_t n)
{
    struct tls_area *rx = &conn->engine->rx;
    ssize_t got;

    area_take(rx, conn);
    CHECK(rx->at == rx->end && n > 0 && n <= rx->size);
    do
        got = recv(conn->fd, rx->bytes, n, 0);
    while (got < 0 && errno == EINTR);
    rx->at = 0;
    rx->end = got > 0 ? (size_t)got : 0;
    conn->full = got == (ssize_t)n;
    conn->asked = true;
    if (got > 0)
        return 1;
    area_clear(rx);
    if (got == 0) {
        conn->eof = true;
        return 0;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        conn->hangup = false;
        return 0;
    }
    tls_io_fail(conn, errno_text(errno));
    return -1;
}

/* One sendmsg(2) of the waiting blocks and of the send area. *whole: the socket took everything
 * that the call listed. 0, or -1: dead. */
static int send_once(struct tls_conn *conn, bool *whole)
{
    struct tls_area *tx = &conn->engine->tx;
    size_t fresh = area_has(tx, conn), listed = 0;
    struct iovec iov[TLS_IOV];
    struct msghdr message = {.msg_iov = iov};
    ssize_t sent;

    for (struct tls_block *b = conn->out.head; b && message.msg_iovlen < TLS_IOV - 1;
         b = b->next) {
        size_t has = b->end - b->at;

        iov[message.msg_iovlen++] = (struct iovec){b->bytes + b->at, has};
        listed += has;
    }
    if (fresh && listed == conn->out.n) { /* else older bytes did not fit into the list */
        iov[message.msg_iovlen++] = (struct iovec){tx->bytes + tx->at, fresh};
        listed += fresh;
    }
    do
        sent = message.msg_iovlen == 1
                   ? send(conn->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                   : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            /* A backend may have responded early, before it closed. */
            conn->unsendable = conn->peer != NULL;
            if (!conn->unsendable)
                tls_io_fail(conn, errno_text(errno));
            return -1;
        }
        sent = 0;
    }
    *whole = (size_t)sent == listed;
    conn->handed += (size_t)sent;
    size_t old = (size_t)sent < conn->out.n ? (size_t)sent : conn->out.n;
    chain_skip(conn, &conn->out, old);
    if (fresh) {
        tx->at += (size_t)sent - old;
        if (tx->at < tx->end &&
            !chain_add(conn, &conn->out, tx->bytes + tx->at, tx->end - tx->at)) {
            tls_io_fail(conn, "out of memory");
            return -1;
        }
        area_clear(tx);
    }
    return 0;
}

ssize_t tls_flush(struct tls_conn *conn)
{
    bool whole = true;

    if (conn->dead || conn->unsendable)
        return -1;
    /* As long as the socket takes everything, no event will report that it can take more. */
    while (whole && tls_waiting(conn))
        if (send_once(conn, &whole) < 0)
            return -1;
    return (ssize_t)conn->out.n;
}

/* ---- the BIO: its data is the engine, which knows the connection whose call is running */

static int io_read(BIO *bio, char *to, int room)
{
    struct tls_engine *engine = BIO_get_data(bio);
    struct tls_conn *conn = engine->current;
    struct tls_area *rx = &engine->rx;
    size_t n = room > 0 ? (size_t)room : 0;

    BIO_clear_retry_flags(bio);
    if (conn->in.n) {
        struct tls_block *block = conn->in.head;

        if (n > block->end - block->at)
            n = block->end - block->at;
        memcpy(to, block->bytes + block->at, n);
        chain_skip(conn, &conn->in, n);
        return (int)n;
    }
    size_t has = area_has(rx, conn);
    if (!has) {
        conn->starved = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n > has)
        n = has;
    memcpy(to, rx->bytes + rx->at, n);
    rx->at += n;
    if (rx->at == rx->end)
        area_clear(rx);
    return (int)n;
}

static int io_write(BIO *bio, const char *from, int size)
{
    struct tls_engine *engine = BIO_get_data(bio);
    struct tls_conn *conn = engine->current;
    struct tls_area *tx = &engine->tx;
    size_t n = size > 0 ? (size_t)size : 0;

    BIO_clear_retry_flags(bio);
    if (conn->reading && (conn->unprompted += (uint32_t)n) > TLS_UNPROMPTED) {
        tls_io_fail(conn, "too many alerts or key updates provoked");
        return -1;
    }
    area_take(tx, conn);
    if (n > tx->size - tx->end) {
        if (tls_flush(conn) < 0)
            return -1;
        area_take(tx, conn);
    }
    CHECK(n <= tx->size - tx->end);
    memcpy(tx->bytes + tx->end, from, n);
    tx->end += n;
    return size;
}

static long io_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH; /* report success: tls_flush() sends once per event */
}

static int io_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_io_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pasgate");

    if (method) {
        BIO_meth_set_read(method, io_read);
        BIO_meth_set_write(method, io_write);
        BIO_meth_set_ctrl(method, io_ctrl);
        BIO_meth_set_create(method, io_create);
    }
    return method;
}

int tls_engine_init_io(struct tls_engine *engine)
{
    mempool_init(&engine->conns, sizeof(struct tls_conn), TLS_CONNS_KEPT);
    mempool_init(&engine->blocks, sizeof(struct tls_block), TLS_BLOCKS_KEPT);
    engine->rx.size = TLS_READ_MAX;
    engine->tx.size = TLS_SEND_AREA;
    engine->rx.bytes = malloc(engine->rx.size);
    engine->tx.bytes = malloc(engine->tx.size);
    engine->method = tls_io_method();
    return engine->rx.bytes && engine->tx.bytes && engine->method ? 0 : -1;
}
