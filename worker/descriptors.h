/* How a worker divides the descriptors that the host allows, so that idle clients cannot use up
 * those that are needed to serve any client. */
#ifndef WORKER_DESCRIPTORS_H
#define WORKER_DESCRIPTORS_H

#include <stdint.h>

struct worker;

enum { DESCRIPTORS_STATUS = 32 /* clients of status listeners, on top of all others */ };

struct descriptors {
    uint32_t clients, upstreams;
};

/* limit: of the host; own: descriptors that the worker itself has open; connections: the
 * setting. Pure. */
struct descriptors descriptors_share(uint64_t limit, uint32_t own, uint32_t connections);

/* Sets max_conns and max_upstreams, and logs it if that is less than configured. */
void descriptors_init(struct worker *worker);

#endif
