/* When requests wait at a backend that sends no response: how long that has gone on, and which
 * of them may well be long ones. Pure: no clock, no table; times are passed in.
 *
 * A report that runs for minutes is no fault. Three things distinguish it from a hang: a check
 * that was sent meanwhile passes, which acknowledges the requests that waited before it
 * ("acknowledged"); later requests get responses; and long waits are usual in its pool. */
#ifndef HEALTHD_OUTLIER_STALL_H
#define HEALTHD_OUTLIER_STALL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STALL_SIGN_MS = 1000, /* a silence this long is a reason for a check */
    /* A silence this long, with a check that got no response either, is a hang. More than 3 s,
     * because a backend that responds after 3 s is slow. */
    STALL_HANG_MS = 3250,
    STALL_LONGEST_MS = 20000, /* longest hang timeout: PAS lets a request wait 15 s */
    STALL_LEARNT_MS = 60000,  /* how long the time that it needed is remembered */
    STALL_MIN_WAITING = 3,    /* waiting requests at least for a comparison with peers */
};

/* What the workers report now. */
struct stall_view {
    uint64_t responses;  /* first bytes of responses, counted */
    uint64_t unanswered; /* requests that wait for a first byte */
    uint64_t oldest_ms;  /* since when the oldest of them waits; 0: none */
};

struct stall {
    struct stall_view view;
    uint64_t min_waiting;  /* as given to stall_feed() */
    uint64_t responded_ms; /* when the last response was seen */
    uint64_t none_ms;      /* when last only acknowledged requests waited */
    uint64_t fewer_ms;     /* when last fewer than `min_waiting` waited */
    uint64_t acknowledged; /* number of waiting requests that a passed check acknowledged */
    uint64_t silence_ms;   /* before the last response, acknowledged requests left out */
    uint64_t learned_latency_ms; /* the same, acknowledged ones included */
    uint64_t hang_timeout_ms;    /* that was learnt, */
    uint64_t learned_until_ms;   /* and until when it holds */
};

void stall_init(struct stall *stall, const struct stall_view *view, uint64_t now_ms);

/* Takes in the current view. min_waiting: the number of unanswered requests for
 * stall_many_ms(). true: there were responses since the last call. */
bool stall_feed(struct stall *stall, const struct stall_view *view, uint64_t min_waiting,
                uint64_t now_ms);

/* Duration of the silence while requests wait that are not acknowledged; 0: none such. */
uint64_t stall_ms(const struct stall *stall, uint64_t now_ms);
/* Duration of the silence while `min_waiting` or more requests wait, acknowledged or not. */
uint64_t stall_many_ms(const struct stall *stall, uint64_t now_ms);
/* Duration of the silence while any request waits, acknowledged or not. */
uint64_t stall_all_ms(const struct stall *stall, uint64_t now_ms);
/* How many requests wait, acknowledged ones left out. */
uint64_t stall_waiting(const struct stall *stall);

/* A check that was sent at started_ms has passed. */
void stall_acknowledge(struct stall *stall, uint64_t started_ms);

/* It responded after all: from now on wait half as long again as it just needed. */
void stall_learn(struct stall *stall, uint64_t now_ms);
/* After how long a silence calls for a check: STALL_SIGN_MS, or what was learnt. */
uint64_t stall_sign_ms(const struct stall *stall, uint64_t now_ms);
/* After how long a silence is a hang, if that check got no response either:
 * at least STALL_HANG_MS. */
uint64_t stall_hang_timeout_ms(const struct stall *stall, uint64_t now_ms);

/* How long a probation request may wait: what was learnt, or half as long again as its last
 * response needed, whatever was acknowledged. */
uint64_t stall_probation_ms(const struct stall *stall, uint64_t now_ms);

/* How many requests have to wait at one backend to be no coincidence, if `slow` of `all`
 * requests of its pool took 2.1 s or longer: few in a pool that is always quick, many
 * where waiting is usual or nothing is known. At most one mistake in a million. */
uint64_t stall_min_waiting(uint64_t slow, uint64_t all);

#endif
