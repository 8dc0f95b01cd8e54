/* What the Docker Engine reports, and what that means: the pure part of a restart by Docker.
 * The API is that of version 1.24 and later, which Podman also offers. */
#ifndef HEALTHD_RESTARTER_DOCKER_H
#define HEALTHD_RESTARTER_DOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "healthd/restarter/restart.h"

struct tail;

enum {
    DOCKER_TIME = 40,        /* bytes of a time as the engine writes it, with NUL */
    DOCKER_TEXT = 96,        /* bytes of an engine's text that we show, with NUL */
    DOCKER_STEADY_MS = 1000, /* a container without a HEALTHCHECK must run this long */
    DOCKER_LOOP = 3, /* after this many starts by the engine itself, it will not come up */
};

enum docker_health { DOCKER_NO_CHECK, DOCKER_STARTING, DOCKER_HEALTHY, DOCKER_UNHEALTHY };

/* Of GET /containers/NAME/json. */
struct docker_state {
    bool running, restarting, paused, oom_killed;
    enum docker_health health;
    int exit_code;             /* of the last run */
    uint32_t restarts;         /* by the engine itself */
    char started[DOCKER_TIME]; /* start time: distinguishes one run from the next */
    char error[DOCKER_TEXT];   /* why it could not be started, masked (mask.h); "" */
    char checked[DOCKER_TEXT]; /* output of the last HEALTHCHECK, masked; "" */
};

/* false: this is no description of a container. */
bool docker_parse_inspect(const char *json, size_t n, struct docker_state *state);

/* The message of an error, {"message": "..."}, masked; "" if there is none. */
void docker_parse_error(const char *json, size_t n, char out[DOCKER_TEXT]);

/* The part of a description that may be kept: state, exit code, times, results of the checks.
 * No environment, labels, command lines or output of checks, which may hold passwords; the
 * error is masked (mask.h). NULL: no such description, or no memory. The caller frees it. */
char *docker_describe(const char *json, size_t n);

/* Why a request failed, in plain words. status 0: there was no response; then `error` is the
 * errno of the connect, or 0 and `trouble` says why. */
void docker_tell_failure(struct restart_result *result, const char *container,
                         const char *socket, long status, int error, const char *trouble,
                         const char *message);

enum docker_verdict { DOCKER_WAIT, DOCKER_GOOD, DOCKER_BAD };

/* How a container comes back, poll by poll. {0} except `before`: its `started` before the
 * restart, "" if unknown. */
struct docker_watch {
    char before[DOCKER_TIME];
    char started[DOCKER_TIME]; /* of the watched run */
    uint64_t steady_ms;        /* when that run was first seen */
    uint32_t restarts;         /* at the first poll */
    int exit_code;             /* of the last end that was seen */
    bool looked, ended;        /* polled; seen between two of its runs */
};

/* One poll. Fills the result for a verdict; for DOCKER_WAIT with what to report
 * if the time is over now. */
enum docker_verdict docker_look(struct docker_watch *watch, const struct docker_state *state,
                                uint64_t now_ms, struct restart_result *result);

/* A container's log as the API sends it: frames of 8 bytes of header (stream, 3 zeros, length
 * in network order) and text; or, for a container with a terminal, plain bytes. The first byte
 * tells which, because every line begins with a time. Start with {0}. */
struct docker_log {
    struct tail *into;
    unsigned char header[8];
    size_t n_header;
    uint32_t left; /* of the frame */
    bool raw;
};

void docker_log_add(struct docker_log *log, const char *bytes, size_t n);

#endif
