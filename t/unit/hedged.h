/* A worker with two backends, of which the first one waits, and a client whose request may get
 * a second attempt: for t/unit/hedge.c and hedge_silence.c, over t/unit/script/. */
#ifndef T_UNIT_HEDGED_H
#define T_UNIT_HEDGED_H

#include "t/unit/script/script.h"
#include "t/unit/tap.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/detached.h"

enum { HEDGE_MS = 500, MORE_MS = 50 };

#define FROM(name) "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" name

static struct client client;

static inline void start(uint32_t n)
{
    client = (struct client){0};
    script_start(n);
    script_backend[0].does = BACKEND_WAITS;
}

/* A new worker with two backends, of which the first one waits. */
static inline void begin(void)
{
    script_defaults();
    script_route.hedge_after_ms = HEDGE_MS;
    start(2);
}

static inline void ask(const char *request)
{
    script_ask(&client, request);
    script_run();
}

/* Both attempts wait for their first byte. */
static inline void begin_hedged(void)
{
    begin();
    script_backend[1].does = BACKEND_WAITS;
    ask("GET /web/a");
    script_wait(HEDGE_MS + MORE_MS);
}

static inline void says(uint32_t backend, const char *bytes)
{
    script_say(backend, bytes);
    script_run();
}

static inline uint64_t completed(uint32_t i)
{
    return count_read(&script_worker.backends[i].cell->completed);
}

static inline uint64_t hedges(uint32_t i)
{
    return count_read(&script_worker.backends[i].cell->hedges);
}

static inline const char *detached(void)
{
    uint64_t since;

    return detached_waiting(&script_worker.backends[0], &since) ? "waits" : "gone";
}

/* In a pool that is known to be quick. */
static inline void begin_auto_with(enum conf_balance balance)
{
    script_defaults();
    script_route.hedge_after_ms = CONF_HEDGE_AUTO;
    script_pool.balance = balance;
    start(2);
    for (uint32_t i = 0; i < 2; i++)
        script_worker.backends[i].hedge_ms = SILENCE_LEAST_MS;
}

static inline void begin_auto(void)
{
    begin_auto_with(CONF_BALANCE_ROUNDROBIN);
}

#endif
