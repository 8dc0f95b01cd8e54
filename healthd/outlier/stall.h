/* When requests wait at a backend and it answers none: how long that has gone on, and which
 * of them may well be long ones. Pure: no clock, no table; times are given.
 *
 * A report that runs for minutes is no illness. Three things tell it from a hang: a check
 * that was sent meanwhile passes, and then what waited before it is forgiven; the requests
 * that came after it are answered; and long waits are usual in its pool. */
#ifndef HEALTHD_OUTLIER_STALL_H
#define HEALTHD_OUTLIER_STALL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STALL_SIGN_MS = 1000, /* no answer for so long is worth a check */
    /* Together with a check that got no answer either, for so long, it is a hang. Beyond
     * 3 s: who answers after these is slow. */
    STALL_HANG_MS = 3250,
    STALL_PATIENCE_MS = 20000, /* longest; PAS lets a request wait 15 s for a session */
    STALL_LEARNT_MS = 60000,   /* what it was seen to need is remembered for so long */
    STALL_FEW = 3,             /* least number that have to wait before peers are asked */
};

/* What the workers show now. */
struct stall_view {
    uint64_t responses;  /* first bytes of answers, counted */
    uint64_t unanswered; /* wait for a first byte */
    uint64_t oldest_ms;  /* since when the oldest of them waits; 0: none */
};

struct stall {
    struct stall_view view;
    uint64_t few;          /* as given to stall_feed() */
    uint64_t responded_ms; /* when the last answer was seen */
    uint64_t none_ms;      /* when nothing waited last but what is forgiven */
    uint64_t fewer_ms;     /* when fewer than `few` waited last */
    uint64_t forgiven;     /* of those that wait: a check passed while they did */
    uint64_t silence_ms;   /* that the last answer ended, of what was not forgiven */
    uint64_t needed_ms;    /* the same of all */
    uint64_t patience_ms, patience_until_ms; /* more than STALL_HANG_MS is needed, until */
};

void stall_init(struct stall *stall, const struct stall_view *view, uint64_t now_ms);

/* Takes in the view of now. few: how many unanswered ones stall_few_ms() is about. true: there
 * were answers since the last one. */
bool stall_feed(struct stall *stall, const struct stall_view *view, uint64_t few,
                uint64_t now_ms);

/* How long no answer has come although something waits that is not forgiven; 0: nothing such.
 */
uint64_t stall_ms(const struct stall *stall, uint64_t now_ms);
/* How long no answer has come although `few` or more wait, forgiven or not. */
uint64_t stall_few_ms(const struct stall *stall, uint64_t now_ms);
/* How long no answer has come although something waits, forgiven or not. */
uint64_t stall_all_ms(const struct stall *stall, uint64_t now_ms);
/* How many wait, not counting those forgiven. */
uint64_t stall_waiting(const struct stall *stall);

/* A check passed that was sent at started_ms. */
void stall_forgive(struct stall *stall, uint64_t started_ms);

/* It answered after all: next time wait as long as it just needed, and half as much more. */
void stall_learn(struct stall *stall, uint64_t now_ms);
/* How long a silence is worth a check: STALL_SIGN_MS, or what was learnt. */
uint64_t stall_sign_ms(const struct stall *stall, uint64_t now_ms);
/* How long it is a hang, where that check got no answer either: at least STALL_HANG_MS. */
uint64_t stall_patience_ms(const struct stall *stall, uint64_t now_ms);

/* How long may a request wait that tries it: what was learnt, and what its last answer needed,
 * and half as much more, whatever was forgiven. */
uint64_t stall_trial_ms(const struct stall *stall, uint64_t now_ms);

/* How many have to wait at one instance to be no chance, where `slow` of `all` requests of its
 * pool took longer than two seconds? Few in a pool that is always quick, many where waiting
 * is usual or nothing is known: at most one in a million is a mistake. */
uint64_t stall_needed(uint64_t slow, uint64_t all);

#endif
