#include "supervisor/backend/recovery_fsm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/doubling.h"
#include "base/str.h"

/* As the next state, RECOVERY_STATES means: stay. FAILURE is resolved by failure(). */
enum { STAY = RECOVERY_STATES, FAILURE };

/* Actions that are carried out here and not returned to the caller. */
enum {
    FORGET = 64,     /* clear all tries */
    HOLD_DOWN = 128, /* start the hold-down */
};

struct step {
    uint8_t actions;
    uint8_t next;
};

#define IGNORE  \
    {           \
        0, STAY \
    }
#define ENDS                         \
    {                                \
        RECOVERY_TELL, RECOVERY_NONE \
    }
#define BEGINS                                            \
    {                                                     \
        RECOVERY_TELL | RECOVERY_DRAIN, RECOVERY_DRAINING \
    }

static const struct step steps[RECOVERY_STATES][RECOVERY_EVENTS] =
    {
        [RECOVERY_NONE] =
            {
                [RECOVERY_GO] = BEGINS,
                [RECOVERY_DRAINED] = IGNORE,
                [RECOVERY_SETTLED] = IGNORE,
                [RECOVERY_RESTARTED] = IGNORE,
                [RECOVERY_FAILED] = IGNORE,
                [RECOVERY_UP] = IGNORE,
                [RECOVERY_TIMER] = IGNORE,
                [RECOVERY_HEALTHY] = IGNORE,
                [RECOVERY_UNSAFE] = IGNORE,
                [RECOVERY_EXHAUSTED] = {RECOVERY_TELL, RECOVERY_HOLD},
                [RECOVERY_READY] = IGNORE,
                [RECOVERY_GONE] = IGNORE,
            },
        [RECOVERY_DRAINING] =
            {
                [RECOVERY_GO] = IGNORE,
                [RECOVERY_DRAINED] = {RECOVERY_TELL | RECOVERY_SETTLE, RECOVERY_RESTARTING},
                [RECOVERY_SETTLED] = IGNORE,
                [RECOVERY_RESTARTED] = IGNORE,
                [RECOVERY_FAILED] = IGNORE,
                [RECOVERY_UP] = IGNORE,
                [RECOVERY_TIMER] = IGNORE,
                [RECOVERY_HEALTHY] = ENDS,
                [RECOVERY_UNSAFE] = ENDS,
                [RECOVERY_EXHAUSTED] = IGNORE,
                [RECOVERY_READY] = ENDS, /* taken back in time */
                [RECOVERY_GONE] = ENDS,
            },
        [RECOVERY_RESTARTING] =
            {
                [RECOVERY_GO] = IGNORE,
                [RECOVERY_DRAINED] = IGNORE,
                [RECOVERY_SETTLED] = {RECOVERY_LAUNCH, STAY},
                [RECOVERY_RESTARTED] = {RECOVERY_TELL | RECOVERY_VERIFY, RECOVERY_VERIFYING},
                [RECOVERY_FAILED] = {0, FAILURE},
                [RECOVERY_UP] = IGNORE,
                [RECOVERY_TIMER] = IGNORE,
                [RECOVERY_HEALTHY] = IGNORE,
                [RECOVERY_UNSAFE] = IGNORE,
                [RECOVERY_EXHAUSTED] = IGNORE,
                [RECOVERY_READY] = IGNORE,
                [RECOVERY_GONE] = IGNORE, /* wait for the restarter's end */
            },
        [RECOVERY_VERIFYING] =
            {
                [RECOVERY_GO] = IGNORE,
                [RECOVERY_DRAINED] = IGNORE,
                [RECOVERY_SETTLED] = IGNORE,
                [RECOVERY_RESTARTED] = IGNORE,
                [RECOVERY_FAILED] = IGNORE,
                [RECOVERY_UP] = {RECOVERY_TELL | RECOVERY_SLOW | HOLD_DOWN, RECOVERY_SLOWSTART},
                [RECOVERY_TIMER] = {0, FAILURE},
                [RECOVERY_HEALTHY] = IGNORE,
                [RECOVERY_UNSAFE] = IGNORE,
                [RECOVERY_EXHAUSTED] = IGNORE,
                [RECOVERY_READY] = IGNORE,
                [RECOVERY_GONE] = ENDS,
            },
        [RECOVERY_SLOWSTART] =
            {
                [RECOVERY_GO] = BEGINS,
                [RECOVERY_DRAINED] = IGNORE,
                [RECOVERY_SETTLED] = IGNORE,
                [RECOVERY_RESTARTED] = IGNORE,
                [RECOVERY_FAILED] = IGNORE,
                [RECOVERY_UP] = IGNORE,
                [RECOVERY_TIMER] = ENDS,
                [RECOVERY_HEALTHY] = IGNORE,
                [RECOVERY_UNSAFE] = IGNORE,
                [RECOVERY_EXHAUSTED] = {RECOVERY_TELL, RECOVERY_HOLD},
                [RECOVERY_READY] = IGNORE,
                [RECOVERY_GONE] = ENDS,
            },
        [RECOVERY_HOLD] =
            {
                [RECOVERY_GO] = {FORGET | RECOVERY_TELL | RECOVERY_DRAIN, RECOVERY_DRAINING},
                [RECOVERY_DRAINED] = IGNORE,
                [RECOVERY_SETTLED] = IGNORE,
                [RECOVERY_RESTARTED] = IGNORE,
                [RECOVERY_FAILED] = IGNORE,
                [RECOVERY_UP] = IGNORE,
                [RECOVERY_TIMER] = IGNORE,
                [RECOVERY_HEALTHY] = IGNORE,
                [RECOVERY_UNSAFE] = IGNORE,
                [RECOVERY_EXHAUSTED] = IGNORE,
                [RECOVERY_READY] = {FORGET | RECOVERY_TELL, RECOVERY_NONE},
                [RECOVERY_GONE] = IGNORE, /* if it comes back, it is still held */
            },
};

/* ---- tries */

uint32_t recovery_fsm_tries(struct recovery_fsm *fsm, uint64_t now_ms)
{
    struct recovery_tries *t = &fsm->tries;
    uint32_t old = 0;

    while (old < t->n && now_ms - t->at_ms[old] >= RECOVERY_HOUR_MS)
        old++;
    t->n -= old;
    memmove(t->at_ms, t->at_ms + old, t->n * sizeof *t->at_ms);
    return t->n;
}

static void add_try(struct recovery_fsm *fsm, uint64_t now_ms)
{
    struct recovery_tries *t = &fsm->tries;

    if (recovery_fsm_tries(fsm, now_ms) == RECOVERY_TRIES_MAX)
        memmove(t->at_ms, t->at_ms + 1, --t->n * sizeof *t->at_ms);
    t->at_ms[t->n++] = now_ms;
}

static void hold_down(struct recovery_fsm *fsm, const struct recovery_limits *limits,
                      uint64_t now_ms)
{
    uint32_t tries = recovery_fsm_tries(fsm, now_ms);

    if (tries > 0)
        fsm->next_ms =
            now_ms + doubling_ms(limits->hold_down_ms, RECOVERY_HOLD_DOWN_MAX_MS, tries);
}

/* ---- steps */

/* healthd's tries were counted at launch; an operator's counts only when it fails. */
static struct step failure(struct recovery_fsm *fsm, const struct recovery_limits *limits,
                           uint64_t now_ms)
{
    if (fsm->by_operator)
        add_try(fsm, now_ms);
    return (struct step){RECOVERY_TELL | HOLD_DOWN,
                         recovery_fsm_tries(fsm, now_ms) >= limits->max_restarts
                             ? RECOVERY_HOLD
                             : RECOVERY_NONE};
}

unsigned recovery_fsm_step(struct recovery_fsm *fsm, enum recovery_event event,
                           const struct recovery_limits *limits, uint64_t now_ms)
{
    CHECK(fsm->state < RECOVERY_STATES && event < RECOVERY_EVENTS);
    struct step step = steps[fsm->state][event];

    if (step.next == FAILURE)
        step = failure(fsm, limits, now_ms);
    if ((step.actions & RECOVERY_LAUNCH) && !fsm->by_operator)
        add_try(fsm, now_ms);
    if (step.actions & HOLD_DOWN)
        hold_down(fsm, limits, now_ms);
    if (step.actions & FORGET) {
        fsm->tries.n = 0;
        fsm->next_ms = 0;
    }
    if (step.next != STAY)
        fsm->state = step.next;
    return step.actions & ~(unsigned)(FORGET | HOLD_DOWN);
}

/* ---- the guards */

bool recovery_fsm_unsafe(const struct recovery_facts *f)
{
    /* An operator's restart of a backend that is down or out of service takes nothing out of
     * service. */
    if (f->force ||
        (f->by_operator && (health_is_out(f->health) || f->override != ADMIN_READY)))
        return false;
    return f->healthy < f->min_healthy;
}

static bool is_busy(uint8_t state)
{
    return state == RECOVERY_DRAINING || state == RECOVERY_RESTARTING ||
           state == RECOVERY_VERIFYING;
}

__attribute__((format(printf, 3, 4))) static enum recovery_verdict
because(enum recovery_verdict verdict, char out[TABLE_REASON], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out, TABLE_REASON, fmt, ap);
    va_end(ap);
    return verdict;
}

/* Guards for healthd only. */
static enum recovery_verdict judge_healthd(const struct recovery_facts *f,
                                           char out[TABLE_REASON])
{
    if (f->state == RECOVERY_HOLD)
        return because(RECOVERY_NEVER, out, "held: needs a human");
    if (!health_is_out(f->health))
        return because(RECOVERY_NEVER, out, "it is %s", health_state_name(f->health));
    if (f->override != ADMIN_READY)
        return because(RECOVERY_LATER, out, "it is out of service (%s)",
                       admin_state_name(f->override));
    if (f->tries >= f->max_restarts)
        return because(RECOVERY_TOO_MANY, out, "needs a human: %u restart%s in the last hour",
                       f->tries, str_plural(f->tries));
    if (f->now_ms < f->next_ms)
        return because(RECOVERY_LATER, out, "waiting after %u restart%s in the last hour",
                       f->tries, str_plural(f->tries));
    return RECOVERY_MAY;
}

enum recovery_verdict recovery_fsm_judge(const struct recovery_facts *f, char out[TABLE_REASON])
{
    enum recovery_verdict verdict = RECOVERY_MAY;

    out[0] = '\0';
    if (f->stopping)
        return because(RECOVERY_NEVER, out, "the service is stopping");
    if (!f->has_action)
        return because(RECOVERY_NEVER, out,
                       "no restart is configured: it has neither restart.docker nor "
                       "restart.command");
    if (is_busy(f->state))
        return because(RECOVERY_NEVER, out, "a restart is in progress (%s)",
                       recovery_state_name(f->state));
    if (!f->by_operator)
        verdict = judge_healthd(f, out);
    if (verdict != RECOVERY_MAY)
        return verdict;
    if (f->other)
        return because(RECOVERY_LATER, out, "%s of the same pool is being restarted", f->other);
    if (recovery_fsm_unsafe(f))
        return because(RECOVERY_LATER, out,
                       "%u other%s of its pool %s up and ready, min_healthy is %u%s",
                       f->healthy, str_plural(f->healthy), f->healthy == 1 ? "is" : "are",
                       f->min_healthy, f->by_operator ? " (--force restarts it anyway)" : "");
    return f->dry_run && !f->by_operator ? RECOVERY_DRY : RECOVERY_MAY;
}

const char *recovery_fsm_event_name(enum recovery_event event)
{
    static const char *const names[] = {"go",     "drained",   "settled", "restarted",
                                        "failed", "up",        "timer",   "healthy",
                                        "unsafe", "exhausted", "ready",   "gone"};

    _Static_assert(sizeof names / sizeof *names == RECOVERY_EVENTS, "a name for each event");
    return event < RECOVERY_EVENTS ? names[event] : "?";
}
