#include "worker/proxy/attempt_events.h"

#include "worker/proxy/attempt.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/retry.h"

static void turn(struct upstream *u)
{
    u->attempt->exchange->active = u->attempt;
}

static bool connected(struct upstream *u)
{
    return attempt_connected(u->attempt->exchange) != EXCHANGE_OVER;
}

static void connect_failed(struct upstream *u, int error)
{
    retry_connect_failed(u->attempt->exchange, error);
}

static void writable(struct upstream *u)
{
    attempt_writable(u->attempt->exchange);
}

static void send_failed(struct upstream *u)
{
    u->attempt->exchange->client_ended = true;
}

static bool wants_more(const struct upstream *u)
{
    return !u->attempt->exchange->blocked;
}

static bool received(struct upstream *u, char *bytes, size_t n)
{
    return exchange_response(u->attempt->exchange, bytes, n) == EXCHANGE_GO_ON;
}

static void ended(struct upstream *u, int error)
{
    retry_upstream_gone(u->attempt->exchange, error);
}

const struct upstream_ops attempt_events = {
    .turn = turn,
    .connected = connected,
    .connect_failed = connect_failed,
    .writable = writable,
    .send_failed = send_failed,
    .wants_more = wants_more,
    .received = received,
    .ended = ended,
};
