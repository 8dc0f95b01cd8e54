/* Who the processes are: limits of the supervisor, and what a child gives up
 * before it meets a peer. */
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

/* Finds whom children run as: `user`, or by default pasgate, else nobody; when
 * not started as root, ourselves. -1: no such user (a configuration error). */
int identity_find(struct identity *identity, const char *user);

/* Supervisor, at start: as many descriptors as allowed, hard to kill for lack
 * of memory, no core dump. Failures are not errors. */
void privilege_prepare(void);

/* Child: becomes `identity` for good. 0, or -1 with errno after a log line:
 * the child must then end. */
int privilege_drop(const struct identity *identity);

/* Makes a folder (and those above it) for the children, 0750; one that is
 * there and empty and root's is given to them. 0 or -1 with errno. One that
 * holds something and is read-only will do: it can be served from. */
int privilege_make_store(const char *path, const struct identity *identity);

#endif
