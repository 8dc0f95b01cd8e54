/* Who may cut in, and when: each state of an exchange, and each party that can end it there.
 * What the client gets, what the log says, and that nothing is held afterwards. */
#include "worker/proxy/exchange.h"

#include <stdio.h>
#include <string.h>

#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/upstream/upstream.h"

enum { MORE_MS = 50, HEDGE_MS = 500 };

static struct client client, occupant[2];

/* ---- the states: the first of two backends misbehaves as needed, the other one serves */

enum state {
    COLLECTING,
    QUEUED,
    CONNECTING,
    EXPECTING,
    SENDING,
    STUCK,
    WAITING,
    IN_HEAD,
    HOLDING,
    RESPONDING,
    BLOCKED,
    DELIVERING,
    TUNNEL,
    HEDGED,
    HEDGING,
    STATES
};

static void collecting(void)
{
    script_ask(&client, "POST /web/a\nContent-Length: 5\n\nab");
}

static void queued(void)
{
    for (int i = 0; i < 2; i++) {
        script_backend[i].does = BACKEND_WAITS;
        script_ask(&occupant[i], "GET /web/occupied");
    }
    script_run();
    script_ask(&client, "GET /web/a");
}

static void connecting(void)
{
    script_accept_none(0);
    script_ask(&client, "GET /web/a");
    script_run();
}

static void expecting(void)
{
    script_backend[0].does = BACKEND_WAITS;
    script_ask(&client, "POST /web/a\nContent-Length: 5\nExpect: 100-continue");
    script_run();
}

#define EIGHTY                                                               \
    "0123456789012345678901234567890123456789012345678901234567890123456789" \
    "0123456789"

static void sending(void)
{
    script_ask(&client, "PUT /web/a\nContent-Length: 82\n\n" EIGHTY);
    script_run();
}

/* The backend reads nothing, so that at last the socket takes no more. */
static void stuck(void)
{
    static char piece[32 * 1024 + 1];

    memset(piece, 'x', sizeof piece - 1);
    script_backend[0].deaf = true;
    script_ask(&client, "PUT /web/a\nContent-Length: 60000000\n\n" EIGHTY);
    for (int i = 0; i < 1000 && client.transport.exchange; i++) {
        script_run();
        if (!client.asked)
            break;
        script_send(&client, piece, false);
    }
}

static void asks(const char *says)
{
    script_backend[0].does = says ? BACKEND_SAYS : BACKEND_WAITS;
    script_backend[0].says = says;
    script_ask(&client, "GET /web/a");
    script_run();
}

static void waiting(void)
{
    asks(NULL);
}

static void in_head(void)
{
    asks("HTTP/1.1 200 OK\r\nContent-Le");
}

static void holding(void)
{
    asks("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
}

static void responding(void)
{
    asks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
}

static void blocked(void)
{
    client.takes = 1;
    responding();
}

static void delivering(void)
{
    client.takes = 2;
    asks("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npas1");
}

static void tunnel(void)
{
    script_backend[0].does = BACKEND_SAYS;
    script_backend[0].says = "HTTP/1.1 101 Now\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\n\r\nhi";
    script_ask(&client, "GET /web/a\nConnection: Upgrade\nUpgrade: websocket\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
                        "Sec-WebSocket-Version: 13");
    script_run();
}

/* Both attempts wait for their first byte. */
static void hedged(void)
{
    script_backend[1].does = BACKEND_WAITS;
    asks(NULL);
    script_wait(HEDGE_MS + MORE_MS);
}

/* The second one still connects. */
static void hedging(void)
{
    script_accept_none(1);
    asks(NULL);
    script_wait(HEDGE_MS + MORE_MS);
}

static const struct {
    const char *name;
    void (*reach)(void);
    enum exchange_state is;
    uint32_t in_flight;   /* slots that it holds by then */
    uint32_t deadline_ms; /* left until its deadline; 0: it has none, its client's applies */
} states[STATES] = {
    [COLLECTING] = {"collecting its body", collecting, EXCHANGE_COLLECTING, 0, 0},
    [QUEUED] = {"queued", queued, EXCHANGE_QUEUED, 2 /* of others */, SCRIPT_QUEUE_MS},
    [CONNECTING] = {"connecting", connecting, EXCHANGE_CONNECTING, 1, SCRIPT_CONNECT_MS},
    [EXPECTING] = {"expecting 100", expecting, EXCHANGE_SENDING, 1, EXCHANGE_EXPECT_MS},
    [SENDING] = {"sending its body", sending, EXCHANGE_SENDING, 1, 0},
    [STUCK] = {"the backend does not read", stuck, EXCHANGE_SENDING, 1, SCRIPT_BODY_MS},
    [WAITING] = {"waiting", waiting, EXCHANGE_WAITING, 1, SCRIPT_FIRST_BYTE_MS},
    [IN_HEAD] = {"in the head", in_head, EXCHANGE_WAITING, 1, SCRIPT_FIRST_BYTE_MS},
    [HOLDING] = {"half a response is held", holding, EXCHANGE_RESPONDING, 1,
                 SCRIPT_RESPONSE_IDLE_MS},
    [RESPONDING] = {"half a body is relayed", responding, EXCHANGE_RESPONDING, 1,
                    SCRIPT_RESPONSE_IDLE_MS},
    [BLOCKED] = {"the client does not read", blocked, EXCHANGE_RESPONDING, 1, 0},
    [DELIVERING] = {"delivering", delivering, EXCHANGE_DELIVERING, 0, 0},
    [TUNNEL] = {"in a tunnel", tunnel, EXCHANGE_TUNNEL, 1, SCRIPT_TUNNEL_MS},
    [HEDGED] = {"hedged", hedged, EXCHANGE_WAITING, 2,
                SCRIPT_FIRST_BYTE_MS - HEDGE_MS - MORE_MS},
    [HEDGING] = {"hedged, connecting", hedging, EXCHANGE_CONNECTING, 2,
                 SCRIPT_FIRST_BYTE_MS - HEDGE_MS - MORE_MS},
};

/* ---- those that cut in */

enum cutter {
    CLIENT_LEAVES,
    CLIENT_BREAKS,
    CLIENT_FIN,
    BACKEND_FIN,
    BACKEND_RST,
    DEADLINE,
    DOWN,
    EJECTED,
    DRAIN,
    STOP,
    CUTTERS
};

static const char *const cutters[CUTTERS] = {
    [CLIENT_LEAVES] = "the client leaves", [CLIENT_BREAKS] = "the client breaks the protocol",
    [CLIENT_FIN] = "the client sends FIN", [BACKEND_FIN] = "the backend closes",
    [BACKEND_RST] = "the backend resets",  [DEADLINE] = "the deadline",
    [DOWN] = "the backend is down",        [EJECTED] = "the backend is ejected",
    [DRAIN] = "its drain has timed out",   [STOP] = "pasgate stops",
};

/* Is there a connection to the first backend for this exchange? */
static bool is_connected(enum state state)
{
    return script_open(0) > 0 && state != QUEUED;
}

/* Not a moment before it. */
static void pass_deadline(enum state state)
{
    uint32_t ms = states[state].deadline_ms;

    script_wait(ms ? ms - MORE_MS : 10 * SCRIPT_TUNNEL_MS);
    ok(client.transport.exchange &&
           client.transport.exchange->active->state == states[state].is,
       "%s: until its deadline", states[state].name);
    script_wait(2 * MORE_MS);
}

static void cut_in(enum cutter who, enum state state)
{
    switch (who) {
    case CLIENT_LEAVES:
        script_leave(&client);
        break;
    case CLIENT_BREAKS:
        if (client.transport.exchange)
            exchange_abort(client.transport.exchange, 400, "malformed chunk");
        break;
    case CLIENT_FIN:
        script_half_close(&client);
        break;
    case BACKEND_FIN:
        if (is_connected(state))
            script_close(0);
        break;
    case BACKEND_RST:
        if (is_connected(state))
            script_reset(0);
        break;
    case DEADLINE:
        pass_deadline(state);
        break;
    case DOWN:
        script_verdict(0, HEALTH_DOWN);
        break;
    case EJECTED:
        script_eject(0);
        break;
    case DRAIN:
        script_drain(0, DRAIN_CUT);
        break;
    case STOP:
        script_stop();
        break;
    case CUTTERS:
        break;
    }
    script_run();
}

/* ---- the table: what the client gets, and who ended it by the log */

#define ON    "goes on"
#define LOST  "nothing, client"
#define STOPS "nothing, proxy"
#define MOVED "200 pas2, done"
#define R400  "400 of pasgate, client"
#define R502  "502 of pasgate, backend"
#define R503  "503 of pasgate, proxy"
#define LATE  "503 of pasgate, timeout"
#define R504  "504 of pasgate, timeout"
#define CUT_C "200 half (cut), client"
#define CUT_B "200 half (cut), backend"
#define CUT_T "200 half (cut), timeout"
#define CUT_P "200 half (cut), proxy"
#define REST  "200 pas1 (cut), client" /* it has not read all of it */
#define RESTP "200 pas1 (cut), proxy"
#define TUN   "101 hi, done"
#define TUN_B "101 hi, backend"
#define TUN_C "101 hi (cut), client"
#define TUN_T "101 hi (cut), timeout"
#define TUN_P "101 hi (cut), proxy"

/* clang-format off */
static const char *const table[STATES][CUTTERS] = {
    /*               client                backend      dead-        verdict
     *               leaves breaks FIN     FIN    RST   line   down  eject. drain  stop */
    [COLLECTING] = { LOST,  R400,  LOST,   ON,    ON,   ON,    ON,   ON,    ON,    STOPS },
    [QUEUED]     = { LOST,  R400,  ON,     ON,    ON,   LATE,  ON,   ON,    ON,    STOPS },
    [CONNECTING] = { LOST,  R400,  ON,     ON,    ON,   MOVED, MOVED,MOVED, MOVED, STOPS },
    [EXPECTING]  = { LOST,  R400,  ON,     R502,  R502, ON,    ON,   ON,    R503,  STOPS },
    [SENDING]    = { LOST,  R400,  LOST,   R502,  R502, ON,    ON,   ON,    R503,  STOPS },
    [STUCK]      = { LOST,  R400,  ON,     R502,  R502, R504,  ON,   ON,    R503,  STOPS },
    [WAITING]    = { LOST,  R400,  ON,     MOVED, MOVED,R504,  MOVED,MOVED, MOVED, STOPS },
    [IN_HEAD]    = { LOST,  R400,  ON,     MOVED, MOVED,R504,  MOVED,MOVED, MOVED, STOPS },
    [HOLDING]    = { LOST,  R400,  ON,     MOVED, MOVED,MOVED, MOVED,MOVED, MOVED, STOPS },
    [RESPONDING] = { CUT_C, CUT_C, ON,     CUT_B, CUT_B,CUT_T, ON,   ON,    CUT_P, CUT_P },
    [BLOCKED]    = { CUT_C, CUT_C, ON,     ON,    ON,   ON,    ON,   ON,    CUT_P, CUT_P },
    [DELIVERING] = { REST,  REST,  ON,     ON,    ON,   ON,    ON,   ON,    ON,    RESTP },
    [TUNNEL]     = { TUN_C, TUN_C, TUN,    ON,    TUN_B,TUN_T, ON,   ON,    TUN_P, TUN_P },
    [HEDGED]     = { LOST,  R400,  ON,     ON,    ON,   R504,  ON,   ON,    ON,    STOPS },
    [HEDGING]    = { LOST,  R400,  ON,     ON,    ON,   R504,  ON,   ON,    ON,    STOPS },
};
/* clang-format on */

/* Only what the backend does is counted against it. */
static bool is_fault(enum cutter who)
{
    return who == BACKEND_FIN || who == BACKEND_RST || who == DEADLINE;
}

static void begin(enum state state)
{
    client = occupant[0] = occupant[1] = (struct client){0};
    script_defaults();
    script_route.body_bytes = 100 << 20;
    if (state == QUEUED)
        script_conf_backend[0].max_in_flight = script_conf_backend[1].max_in_flight = 1;
    if (state == HEDGED || state == HEDGING)
        script_route.hedge_after_ms = HEDGE_MS;
    script_start(2);
    states[state].reach();
    ok(client.transport.exchange &&
           client.transport.exchange->active->state == states[state].is &&
           script_in_flight(0) + script_in_flight(1) == states[state].in_flight,
       "%s", states[state].name);
}

static const char *outcome(void)
{
    static char text[SCRIPT_TEXT];

    if (!client.ends)
        return ON;
    snprintf(text, sizeof text, "%s, %s", script_got(&client), script_log_field("end"));
    return text;
}

static void test_cut(enum state state, enum cutter who)
{
    char name[128];

    snprintf(name, sizeof name, "%s: %s", states[state].name, cutters[who]);
    begin(state);
    cut_in(who, state);
    is_str(outcome(), table[state][who], "%s", name);
    if (!is_fault(who))
        is_str(script_faults(0), "", "%s: nothing is counted against the backend", name);
    if (who == DRAIN || who == STOP)
        is_int(script_in_flight(0), 0, "%s: nothing runs at it any more", name);
    if (state == QUEUED && who == STOP)
        is_int(script_backend[0].connections + script_backend[1].connections, 2,
               "%s: it gets no slot of those that are cut before it", name);
    script_leave(&client);
    for (int i = 0; i < 2; i++)
        script_leave(&occupant[i]);
    script_end(name);
}

int main(void)
{
    for (enum state state = 0; state < STATES; state++)
        for (enum cutter who = 0; who < CUTTERS; who++)
            test_cut(state, who);
    return done();
}
