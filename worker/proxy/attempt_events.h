/* What a connection to a backend tells the exchange that it belongs to. Worker only. */
#ifndef WORKER_ATTEMPT_EVENTS_H
#define WORKER_ATTEMPT_EVENTS_H

#include "worker/upstream/upstream.h"

extern const struct upstream_ops attempt_events;

#endif
