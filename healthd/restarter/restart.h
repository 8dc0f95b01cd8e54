/* The interface between the parts of a restarter. Restarter only. */
#ifndef HEALTHD_RESTARTER_RESTART_H
#define HEALTHD_RESTARTER_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_backend;
struct tail;

/* One restart. Owns nothing; everything in it outlives the action. */
struct restart_call {
    const struct conf_backend *backend;
    const char *pool;
    const char *incident;
    const char *reason;
    struct tail *said; /* receives what the program printed, or the engine responded */
};

struct restart_result {
    bool done;
    char text[TABLE_REASON]; /* one line for people, in both cases */
};

__attribute__((format(printf, 3, 4))) void restart_tell(struct restart_result *result,
                                                        bool done, const char *fmt, ...);

/* "10.2 s" */
enum { RESTART_TIME = 24 };
const char *restart_seconds(char out[RESTART_TIME], uint64_t ms);

/* Runs the program of restart.command and waits for its end: at most restart.timeout, and
 * restart.stop_timeout after SIGTERM. What it left running in the background goes on. */
void restart_by_command(const struct restart_call *call, struct restart_result *result);

/* Asks the Docker Engine to restart the container of restart.docker, and waits until it runs
 * and, if its image has a HEALTHCHECK, is healthy: at most restart.timeout for everything. */
void restart_by_docker(const struct restart_call *call, struct restart_result *result);

/* The program's whole environment, with a NULL at its end; NULL without
 * memory. One block: free() it. */
char **restart_environment(const struct restart_call *call, const char *path);

#endif
