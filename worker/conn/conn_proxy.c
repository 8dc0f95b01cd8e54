/* The PROXY header before everything else of a connection (worker/conn/proxy_header.h). It is
 * looked at in the socket until it is complete, and then taken out, so that no byte behind it
 * is: those belong to TLS or HTTP. */
#include <errno.h>
#include <sys/socket.h>

#include "base/conf/conf.h"
#include "base/conf/networks.h"
#include "base/log.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/proxy_header.h"
#include "worker/core/core.h"

bool conn_proxied(const struct conf_listen *listen, const struct sockaddr *from)
{
    return conf_networks_hold(listen->proxy_protocol, listen->n_proxy_protocol, from);
}

void conn_proxy_failed(struct conn *c, const char *why)
{
    static struct log_gate gate;

    count_add(&c->worker->row->proxy_header_errors, 1);
    if (log_wants(LOG_LEVEL_WARN) && log_gate_open(&gate))
        log_warn(
            "connection from %s to %s closed: %s; is the PROXY protocol switched on at that "
            "load balancer?",
            c->peer.ip, c->peer.listen->address, why);
    c->state = CONN_CLOSED;
}

/* Takes the header out of the socket, where it is complete. */
static bool take_out(struct conn *c, void *to, size_t n)
{
    ssize_t got;

    do {
        got = recv(c->source.fd, to, n, 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)n;
}

static void parsed(struct conn *c, const struct proxy_header *h)
{
    if (!h->local)
        peer_name(&c->peer, c->worker->conf, &h->client.any,
                  h->client.any.sa_family == AF_INET ? sizeof h->client.v4
                                                     : sizeof h->client.v6);
    if (!conn_admits(c)) {
        c->state = CONN_CLOSED;
        return;
    }
    c->state = c->stream.tls ? CONN_HANDSHAKE : CONN_IDLE;
    conn_arm_wait(c);
}

bool conn_proxy_step(struct conn *c)
{
    uint8_t bytes[PROXY_HEADER_MAX];
    struct proxy_header header;
    ssize_t got;
    int n;

    if (!c->stream.readable)
        return false;
    do {
        got = recv(c->source.fd, bytes, sizeof bytes, MSG_PEEK);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        c->stream.readable = false;
        return false;
    }
    if (got <= 0) { /* a check whether the port is open */
        c->state = CONN_CLOSED;
        return true;
    }
    n = proxy_header_parse(bytes, (size_t)got, &header);
    if (n == 0 && !c->stream.hung_up) {
        c->stream.readable = false; /* more bytes are another edge */
        return false;
    }
    if (n <= 0)
        conn_proxy_failed(c, n ? "it does not begin with a PROXY header, or a malformed one"
                               : "its PROXY header is cut short");
    else if (!take_out(c, bytes, (size_t)n))
        c->state = CONN_CLOSED;
    else
        parsed(c, &header);
    return true;
}
