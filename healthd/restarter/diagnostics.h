/* What is saved about an instance before it is restarted, so that somebody can find out later
 * why it was ill: files in the folder of the incident, mode 0600. Restarter only. README.md
 * lists them.
 *
 * Nothing of this may stop a restart: whatever cannot be had, or written, is left out and
 * told. No file has more than DIAGNOSTICS_FILE bytes, and all together have a limit as well.
 * Queries, session ids and the environment of containers are left out, as they hold secrets;
 * what an instance wrote into its own log is not. */
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
    /* All that each part may write, together 4 MiB. */
    DIAGNOSTICS_OURS = 2 * 1024 * 1024,
    DIAGNOSTICS_OF_PAS = 3 * 512 * 1024,
    DIAGNOSTICS_OF_ACTION = 512 * 1024,
    DIAGNOSTICS_TROUBLE = 512, /* bytes of a message with its NUL */
};

struct evidence {
    const struct heritage *heritage;
    const struct restart_call *call;
    int dir;                           /* descriptor; -1: none */
    size_t left;                       /* bytes that may still be written */
    char trouble[DIAGNOSTICS_TROUBLE]; /* the first one that there was; "" */
};

/* Opens the folder of the action; without one, all that follows does nothing. */
void diagnostics_open(struct evidence *ev, const struct heritage *heritage,
                      const struct restart_call *call, size_t left);
void diagnostics_close(struct evidence *ev);

/* Makes a new file: a descriptor, or -1. Writes it, as far as it is allowed to be long, and
 * closes it; does nothing with -1. */
int diagnostics_create(struct evidence *ev, const char *name);
void diagnostics_finish(struct evidence *ev, const char *name, int fd, const void *bytes,
                        size_t n);

/* What pasgate itself knows: incident.json, transitions, counters, exchanges. */
void diagnostics_of_table(struct evidence *ev);

/* What the Docker Engine says, within limit_ms: inspect.json and container.log. */
void diagnostics_of_docker(struct evidence *ev, uint32_t limit_ms);

/* What PAS says, within limit_ms: healthscanner and oemanager. What an ill instance sends is
 * not to be read by root, who starts restarters at times: gives that up, for ever. */
void diagnostics_of_pas(struct evidence *ev, uint32_t limit_ms);

/* action.log: what was done, what was said to that, and what came of it. */
void diagnostics_of_action(struct evidence *ev, const struct restart_result *result);

/* ---- JSON of PAS and of our own (restarter/diagnostics_json.c); pure */

/* incident.json. NULL without memory; the caller frees it, as the others below. */
char *diagnostics_incident(const struct restart_call *call, uint64_t wall_ms);

enum { DIAGNOSTICS_ID = 64 }; /* bytes of a name in a path, with its NUL */

/* The ABL applications in the answer of /oemanager/applications, and the agents in that of
 * /oemanager/applications/NAME/agents; only names that need no escape in a path. How many. */
size_t diagnostics_applications(const char *json, size_t n, char out[][DIAGNOSTICS_ID],
                                size_t max);
size_t diagnostics_agents(const char *json, size_t n, char out[][DIAGNOSTICS_ID], size_t max);

/* An answer without what is secret, indented; NULL when it is no JSON. */
char *diagnostics_harmless(const char *json, size_t n);

#endif
