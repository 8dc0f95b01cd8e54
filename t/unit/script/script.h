/* A worker between scripted neighbours, for unit tests of everything that runs an exchange.
 *
 *   scripted client        the worker's own code                scripted backends
 *   (transport_ops)  ----  exchange, attempt, retry, hedge  ----  (sockets of this test)
 *                          response, queue, upstream, log
 *                                     |
 *          verdicts and drains, published as healthd and the supervisor do
 *
 * Only accept, TLS and HTTP/1 towards the client are left out. Time stands still until
 * script_wait() moves it: this program has a clock_gettime() of its own. Memory blocks are not
 * kept for reuse, so that ASan sees each use after an end.
 *
 *     script_start(2);                           two backends, both up
 *     script_backend[0].does = BACKEND_RESETS;
 *     script_ask(&client, "GET /web/a");
 *     script_run();                              until nothing more happens
 *     is_str(script_got(&client), "200 pas2", "served by the other one");
 *     script_end("a reset");                     checks that nothing is held, and ends it */
#ifndef T_UNIT_SCRIPT_SCRIPT_H
#define T_UNIT_SCRIPT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/pins.h"

enum {
    SCRIPT_BACKENDS = 4,
    SCRIPT_CLIENTS = 32,
    SCRIPT_TEXT = 4096, /* what one side receives, as far as it is kept */
    /* The settings that script_defaults() makes. */
    SCRIPT_CONNECT_MS = 3000,
    SCRIPT_BODY_MS = 20000,
    SCRIPT_FIRST_BYTE_MS = 60000,
    SCRIPT_RESPONSE_IDLE_MS = 30000,
    SCRIPT_TUNNEL_MS = 90000,
    SCRIPT_QUEUE_MS = 5000,
    SCRIPT_REQUEST_BUFFER = 64, /* of a body, before a backend is chosen */
    SCRIPT_HANG_MS = 2000,      /* hang timeout of a backend on probation */
};

/* ---- the worker (worker.c) */

/* The settings. script_defaults() fills them in; a test changes them before
 * script_start(). */
extern struct conf script_conf;
extern struct conf_route script_route;
extern struct conf_pool script_pool;
extern struct conf_backend script_conf_backend[SCRIPT_BACKENDS];

extern struct worker script_worker;

void script_defaults(void);
/* A new worker with n backends, all up, whose listeners are open. */
void script_start(uint32_t n);
/* Ends the worker as worker.c does. Reports as a failed test if anything was held for exchanges
 * that are over, or if the table and the access log do not have each of them once. */
#define script_end(test) is_str(script_over(), "", "%s: nothing is held, all is counted", test)
const char *script_over(void);
/* The end of a worker that is asked to stop: no new work, then its deadline. */
void script_stop(void);

/* Serves events until there are none, without moving the time. */
void script_run(void);
/* Moves the time by so much, then script_run(). */
void script_wait(uint32_t ms);

/* Publishes a verdict, or a drain, and rings the doorbell. */
void script_verdict(uint32_t backend, enum health_state state);
void script_probation(uint32_t backend, enum health_cause cause);
/* On probation, and silent: the requests that wait there are to be hedged. */
void script_hedge_all(uint32_t backend);
void script_eject(uint32_t backend);
/* DEGRADED, because its responses are unlike those of the others. */
void script_unlike(uint32_t backend, enum health_cause cause);
void script_drain(uint32_t backend, enum drain_end end);

/* What the worker holds for exchanges, other than kept connections, as text: "" is nothing. */
enum { SCRIPT_HELD = 1024 };
const char *script_held(void);
/* Lines of the access log so far; the last one; the text of one of its fields ("" if it is not
 * there). */
unsigned script_log_lines(void);
const char *script_log_field(const char *name);
/* Hard failures that are counted against a backend: "connect", "reset", "timeout", "cut" with
 * their numbers, or "". */
const char *script_faults(uint32_t backend);
/* Exchanges that run, or detached attempts that wait, at that backend. */
uint32_t script_in_flight(uint32_t backend);

/* ---- time (clock.c) */

uint64_t script_now_us(void);
void script_move_clock(uint64_t us);
/* script_start() does that: until then, and in other programs, it is the host's clock. */
void script_stop_clock(void);

/* ---- clients (client.c) */

/* The scripted transport. Zero is a client that takes everything at once. */
struct client {
    struct transport transport; /* its exchange is NULL: over, or not begun */
    struct peer peer;
    struct http_request request;
    char *head;    /* the request's bytes, gone when the exchange is over */
    int takes;     /* result of respond() and body(): 0 all, 1 none now, 2 kept, -1 gone */
    bool asked;    /* it was asked for (more of) its body */
    char *pending; /* bytes of the body that it sends when asked */
    size_t npending;
    bool pending_last;
    /* what it got */
    unsigned heads, interims, ends;
    uint16_t status;
    bool own;   /* the response was made by pasgate */
    bool last;  /* its last bytes came */
    bool whole; /* the exchange said so at its end */
    bool fin;   /* a tunnel: the backend's FIN was passed on */
    char text[SCRIPT_TEXT];
    size_t n;
    const char *wrong; /* a rule of struct transport_ops was broken; NULL: none */
};

/* Sends a request, whose lines end with \n here. What follows an empty line is its body, or
 * the first part of it. A Host field and the version are added. */
void script_ask(struct client *client, const char *request);
/* More of its body (or of a tunnel), when it is asked for it. */
void script_send(struct client *client, const char *bytes, bool last);
/* It takes bytes again, all that it was given. */
void script_read_on(struct client *client);
/* It disappears. */
void script_leave(struct client *client);
/* It sends FIN. */
void script_half_close(struct client *client);
/* Turns all clients: true if one of them did something. */
bool script_clients_turn(void);
void script_clients_end(void);
/* Responses with 5xx by pasgate itself, over all clients; set to 0 by script_start(). */
extern unsigned script_own_errors;

/* What it got so far: "nothing", "200 pas1", "200 pas1 (cut)", "200 pa..." while it is not
 * over, "503 of pasgate". */
const char *script_got(const struct client *client);

/* ---- backends (backend.c) */

/* What a backend does with each request. */
enum script_does {
    BACKEND_SERVES, /* "200" with its name as the body */
    BACKEND_SAYS,   /* what .says says, then waits */
    BACKEND_SAYS_AND_CLOSES,
    BACKEND_SAYS_AND_RESETS,
    BACKEND_CLOSES, /* without a byte */
    BACKEND_RESETS,
    BACKEND_WAITS, /* for what the test lets it do */
};

struct script_backend {
    const char *name;
    enum script_does does;
    const char *says;
    unsigned times; /* so often, then it serves; 0: always */
    bool only_kept; /* does that only over kept connections */
    bool deaf;      /* reads nothing */
    /* what it got */
    unsigned connections, requests;
    char last[SCRIPT_TEXT]; /* the bytes of its last request */
};

extern struct script_backend script_backend[SCRIPT_BACKENDS];

void script_backends_open(uint32_t n);
void script_backends_close(void);
bool script_backends_turn(void);
/* Where it listens. */
struct sockaddr_in script_backend_address(uint32_t backend);
/* Connections are refused; connections are never accepted. */
void script_refuse(uint32_t backend);
void script_accept_none(uint32_t backend);
/* On its newest connection that is open. */
void script_say(uint32_t backend, const char *bytes);
void script_close(uint32_t backend);
void script_reset(uint32_t backend);
/* Number of connections that pasgate holds to it. */
unsigned script_open(uint32_t backend);
/* Waits for events of its sockets and pasgate's. */
bool script_any_ready(int ms);

#endif
