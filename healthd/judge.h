/* What probes and workers tell about one backend, and where that leads (README.md has the
 * picture): the first verdict, suspicion, DOWN, UP, and DEGRADED where it is alive but slow.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_JUDGE_H
#define HEALTHD_JUDGE_H

#include "healthd/backend_health.h"
#include "healthd/schedule.h"

/* A probe starts now. true: workers must be rung. */
bool judge_started(struct backend_health *target, uint64_t now_ms);

/* The probe has ended: judges, publishes and schedules the next one (*seed:
 * schedule_next_ms()). true: workers must be rung. */
bool judge_ended(struct backend_health *target, const struct probe_result *result,
                 unsigned *seed, uint64_t now_ms);

/* Takes in what the workers saw since the last call; brings the next probe forward if something
 * failed. */
void judge_look(struct backend_health *target, uint64_t now_ms);

/* Brings the next probe forward. changed: the state changed. */
void judge_hurry(struct backend_health *target, bool changed, uint64_t now_ms);

/* Have enough checks passed to end this state? */
bool judge_has_risen(const struct backend_health *target);

#endif
