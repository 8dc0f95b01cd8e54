/* What the parts of a restarter say to each other. Restarter only. */
#ifndef HEALTHD_RESTARTER_RESTART_H
#define HEALTHD_RESTARTER_RESTART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_backend;
struct tail;

/* One restart. Nothing in it is owned; all of it outlives the action. */
struct restart_call {
    const struct conf_backend *backend;
    const char *pool;
    const char *incident;
    const char *reason;
    struct tail *said; /* to be filled: what the program printed, or the engine answered */
};

struct restart_result {
    bool done;
    char text[TABLE_REASON]; /* one line for people, either way */
};

__attribute__((format(printf, 3, 4))) void restart_tell(struct restart_result *result,
                                                        bool done, const char *fmt, ...);

/* "10.2 s" */
enum { RESTART_TIME = 24 };
const char *restart_seconds(char out[RESTART_TIME], uint64_t ms);

/* Runs the program of restart.command and waits for its end: at most restart.timeout, and
 * restart.stop_timeout after SIGTERM. What it left running in the background stays. */
void restart_by_command(const struct restart_call *call, struct restart_result *result);

/* Has the Docker Engine restart the container of restart.docker, and waits until it runs and,
 * where its image has a HEALTHCHECK, is healthy: at most restart.timeout for all. */
void restart_by_docker(const struct restart_call *call, struct restart_result *result);

/* The program's whole environment, NULL at its end; NULL without memory. One block: free() it.
 */
char **restart_environment(const struct restart_call *call, const char *path);

#endif
