/* What is saved about a backend before it is restarted, so that somebody can find out later why
 * it was unhealthy: files in the directory of the incident, mode 0600. Restarter only.
 * docs/health.md lists them.
 *
 * Nothing here may prevent a restart: whatever cannot be read or written is left out and
 * reported. No file has more than DIAGNOSTICS_FILE bytes, and all together have a limit as
 * well. Queries, session ids and the environment of containers are left out, because they hold
 * secrets; what a backend wrote into its own log is not. */
#ifndef HEALTHD_RESTARTER_DIAGNOSTICS_H
#define HEALTHD_RESTARTER_DIAGNOSTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heritage;
struct restart_call;
struct restart_result;

enum {
    DIAGNOSTICS_FILE = 1024 * 1024,
    /* Limits of each part, together 4 MiB. */
    DIAGNOSTICS_OURS = 2 * 1024 * 1024,
    DIAGNOSTICS_OF_PAS = 3 * 512 * 1024,
    DIAGNOSTICS_OF_ACTION = 512 * 1024,
    DIAGNOSTICS_TROUBLE = 512, /* bytes of a message with its NUL */
};

struct diagnostics {
    const struct heritage *heritage;
    const struct restart_call *call;
    int dir;                           /* descriptor; -1: none */
    size_t left;                       /* bytes that may still be written */
    char trouble[DIAGNOSTICS_TROUBLE]; /* the first error; "" */
};

/* Opens the directory of the action; without one, everything that follows does nothing. */
void diagnostics_open(struct diagnostics *ev, const struct heritage *heritage,
                      const struct restart_call *call, size_t left);
void diagnostics_close(struct diagnostics *ev);

/* create: makes a new file; returns a descriptor, or -1. finish: writes it up to the limits and
 * closes it; does nothing with -1. */
int diagnostics_create(struct diagnostics *ev, const char *name);
void diagnostics_finish(struct diagnostics *ev, const char *name, int fd, const void *bytes,
                        size_t n);

/* What pasgate itself knows: incident.json, transitions, counters, exchanges. */
void diagnostics_of_table(struct diagnostics *ev);

/* What the Docker Engine reports, within limit_ms: inspect.json and container.log. */
void diagnostics_of_docker(struct diagnostics *ev, uint32_t limit_ms);

/* What PAS reports, within limit_ms: healthscanner and oemanager. Gives up root rights
 * for good, because a restarter may run as root, which must not parse what an
 * unhealthy backend sends. */
void diagnostics_of_pas(struct diagnostics *ev, uint32_t limit_ms);

/* action.log: what was done, the response to it, and the result. */
void diagnostics_of_action(struct diagnostics *ev, const struct restart_result *result);

/* ---- JSON of PAS and of our own (restarter/diagnostics_json.c); pure */

/* incident.json. NULL without memory; the caller frees it, as those below. */
char *diagnostics_incident(const struct restart_call *call, uint64_t wall_ms);

enum { DIAGNOSTICS_ID = 64 }; /* bytes of a name in a path, with its NUL */

/* The ABL applications in the response of /oemanager/applications, and the agents in
 * that of /oemanager/applications/NAME/agents; only names that need no escape in a
 * path. Returns how many. */
size_t diagnostics_applications(const char *json, size_t n, char out[][DIAGNOSTICS_ID],
                                size_t max);
size_t diagnostics_agents(const char *json, size_t n, char out[][DIAGNOSTICS_ID], size_t max);

/* A response without its secrets, indented; NULL if it is not JSON. */
char *diagnostics_harmless(const char *json, size_t n);

#endif
