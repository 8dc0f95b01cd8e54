/* Identity and privileges: the supervisor's limits, and what a child gives up before it meets a
 * peer. */
#ifndef SUPERVISOR_PRIVILEGE_H
#define SUPERVISOR_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

struct identity {
    bool change; /* started as root: children become uid and gid */
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* Finds the user that children run as: `user`, or by default pasgate, else nobody; when not
 * started as root, the current user. -1: no such user (a configuration error). */
int identity_find(struct identity *identity, const char *user);

/* Supervisor, at start: raises the descriptor limit to the maximum and disables core dumps.
 * Failures are not errors. */
void privilege_prepare(void);

/* Child: becomes `identity` for good. 0, or -1 with errno after a log line: the child must
 * exit. */
int privilege_drop(const struct identity *identity);

/* Supervisor, at start: keeps only the capabilities that it needs itself. A restart command
 * that root configures gets those of root again, when it is executed. Failures are logged. */
void privilege_limit(void);

/* Child, after privilege_drop(): gives up all capabilities. 0, or -1 with errno after a log
 * line. */
int privilege_drop_capabilities(void);

/* Creates a directory (and its parents) for the children, mode 0750; an existing empty one of
 * root's is given to them. 0 or -1 with errno. A read-only directory that is not empty is
 * accepted: its certificates can still be served. */
int privilege_make_store(const char *path, const struct identity *identity);

#endif
