/* Hedging: a second attempt at a safe request while the first one still waits for its first
 * byte. Worker only.
 *
 * Both are in exchange->attempt[]. An event of one of them makes that one the active attempt,
 * to which the rest of the worker looks. The first byte of a response decides. The loser's
 * connection is closed, which counts neither as a failure nor as a completion, unless the loser
 * was a probation request, or hedged because its backend was silent: that one becomes a
 * detached attempt (worker/proxy/detached.h).When one attempt fails, the other continues
 * alone, with what is left of its time; but if the kept connection of the second one was just
 * closed, that one goes on over a fresh connection. An exchange is hedged at most once, within
 * the retry budget, where another backend has a free slot, and never if it belongs to a
 * session, which only its own backend knows.
 *
 * When: after the time that its route sets, whatever its backend does meanwhile; or
 * ("auto") when its backend is silent (worker/upstream/silence.h). */
#ifndef WORKER_HEDGE_H
#define WORKER_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct worker;

/* The hedge delay has passed: starts the second attempt. May end the exchange. */
void hedge_start(struct exchange *x);

/* The active attempt failed. true: the other one takes its place (and may have ended
 * the exchange); false: there is no other one. */
bool hedge_promote(struct exchange *x);

/* The active attempt has a response: drops or detaches the other one. Wakes no waiting
 * exchange. */
void hedge_win(struct exchange *x);

/* The deadline that both attempts share has passed: keeps the one that began first. */
void hedge_expire(struct exchange *x);

/* Computes how long a silence is a reason to hedge (worker/upstream/silence.h): from what all
 * workers recorded so far, at the start, and from our own cells, once a second. */
void hedge_init(struct worker *worker);
void hedge_look(struct worker *worker);

#endif
