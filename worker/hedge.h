/* A race: a second attempt at a safe request while the first one waits for its first
 * byte. Worker only.
 *
 * The exchange's own fields tell of one attempt, exchange->rival of the other. They
 * change places when an event of the other one comes, so that all the rest of the worker
 * knows of one attempt only. The first byte of an answer decides; the loser's connection
 * is closed, which counts neither as a failure nor as a completion; but one that tried an
 * instance is heard out (worker/overtaken.h). One that fails leaves the field to the other. At
 * most one race for an exchange, inside the budget of retries, and never for what belongs to a
 * session, which only its instance knows. */
#ifndef WORKER_HEDGE_H
#define WORKER_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct upstream;

enum {
    HEDGE_RESCUE_MS = 1,   /* health.rescue: at once, but not in the middle of something */
    HEDGE_TRIAL_MS = 1000, /* a request that tries an instance waits no longer alone; or for
                            * half as long again as one was seen to need there */
    HEDGE_AGAIN_MS = 100,  /* the budget of retries was used up: to be looked at again */
};

/* After how long a request that is sent is raced; 0: never. */
uint32_t hedge_delay(const struct exchange *x);

/* That time has passed. May end the exchange. */
void hedge_start(struct exchange *x);

/* Makes the attempt of that connection the exchange's own. */
void hedge_turn(struct exchange *x, const struct upstream *upstream);

/* The exchange's own attempt failed. true: the rival goes on in its place (and may have
 * ended the exchange); false: there is none. */
bool hedge_go_on(struct exchange *x);

/* The own attempt has an answer: the rival is given up. Wakes nobody. */
void hedge_won(struct exchange *x);

/* The deadline of both has come: the one that began first remains. */
void hedge_late(struct exchange *x);

/* The rival is given up, if there is one: the exchange ends, or its instance does. */
void hedge_drop(struct exchange *x);

#endif
