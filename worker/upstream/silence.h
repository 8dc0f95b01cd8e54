/* When a backend's silence is a reason to hedge (routes with hedge_after = "auto"): how long a
 * first byte may take at a backend of this pool, and whether the backend has served anybody
 * meanwhile. Pure: no clock, no table; times are passed in.
 *
 * A backend that has responded to a later request is alive, and the one that waits is a long
 * one: it is not sent twice. If it has not, for three times as long as nearly all requests of
 * the other backends take, one of these gets the request, too; but only one that has served a
 * later request, or has none: where all are equally slow, nothing would be won. */
#ifndef WORKER_SILENCE_H
#define WORKER_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    SILENCE_LEAST_MS =
        200,           /* no shorter silence counts: a lost packet, a collection of garbage */
    SILENCE_TIMES = 3, /* this many times longer than 99 of 100 requests */
    SILENCE_FEW = 20,  /* fewer responses than this say little: */
    SILENCE_FEW_MS = 700,     /* then no shorter silence counts */
    SILENCE_ASK_MS = 300,     /* how long another request may take to come, and to be served */
    SILENCE_AGAIN_MS = 100,   /* no second attempt was possible: tried again after this time, */
    SILENCE_AGAIN_SHARE = 4,  /* or a quarter of what it has waited: many may wait for long */
    SILENCE_PERIOD_MS = 5000, /* after which a new period of a record begins, */
    SILENCE_ENOUGH = 200,     /* if there were so many responses of its pool in it */
};

/* Times to the first byte within a period, in the buckets of the table. What is recent lies in
 * the running period and the one before it, so that a host that was busy for a while is
 * forgotten altogether soon after: two slow responses in a hundred decide. */
struct silence_record {
    uint32_t n[TABLE_LATENCY];
};

/* Adds the difference between two states of the table's buckets. */
void silence_add(struct silence_record *record, const uint64_t now[TABLE_LATENCY],
                 const uint64_t before[TABLE_LATENCY]);
/* Adds what is in another record, or takes it out again. */
void silence_join(struct silence_record *sum, const struct silence_record *part);
void silence_part(struct silence_record *sum, const struct silence_record *part);
uint64_t silence_total(const struct silence_record *record);
/* Is a period of a pool over? total: responses in it; lasted_ms: since it began. */
bool silence_is_over(uint64_t total, uint64_t lasted_ms);

/* After how long a silence a backend is asked, and the request hedged if that is of no use:
 * from the record of the other backends, less the time that asking takes. */
uint32_t silence_delay_ms(const struct silence_record *others);

/* What is known of a backend, in microseconds; 0: nothing yet. */
struct silence_view {
    uint64_t served_us; /* when the latest request that it responded to was sent, by anybody */
    uint64_t asked_us;  /* when another request was to be sent there, to see what it does */
    uint64_t confirmed_us; /* when a request went there that another backend served meanwhile */
};

enum silence_verdict {
    SILENCE_ALIVE, /* it serves others: the request is a long one */
    SILENCE_ASK,   /* it has served nobody, but perhaps nothing else was sent there: ask it */
    SILENCE_WAIT,  /* it was asked just now */
    SILENCE_FOUND, /* hedge */
};

/* What does it mean that a request that went there at sent_us has no response yet? The backend
 * with the fewest requests in flight gets the next one, so under light load nothing else is
 * sent to one that runs a long report. Therefore it is asked before the report is sent twice:
 * the next request that may be hedged goes there. It is silent if that has no response either,
 * or if none came within SILENCE_ASK_MS. */
enum silence_verdict silence_judge(uint64_t sent_us, const struct silence_view *view,
                                   uint64_t now_us);

/* It could not be hedged: after how long is that tried again? waited_ms: so far. */
uint32_t silence_again_ms(uint64_t waited_ms);

#endif
