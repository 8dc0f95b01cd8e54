/* How a worker shares out the descriptors that the host gives it, so that idle clients cannot
 * take those that are needed to serve any of them. */
#ifndef WORKER_DESCRIPTORS_H
#define WORKER_DESCRIPTORS_H

#include <stdint.h>

struct worker;

enum { DESCRIPTORS_STATUS = 16 /* clients of status listeners beyond all others */ };

struct descriptors {
    uint32_t clients, upstreams;
};

/* limit: that of the host; own: what the worker has open for itself; connections: the setting.
 * Pure. */
struct descriptors descriptors_share(uint64_t limit, uint32_t own, uint32_t connections);

/* Sets max_clients and max_upstreams, and says so in the log where that is less than the
 * configuration has it. */
void descriptors_init(struct worker *worker);

#endif
