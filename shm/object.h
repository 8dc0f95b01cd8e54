/* The object in /dev/shm that a table lies in: how one is made though anybody may put files
 * there, and whom a reader believes.
 *
 * The supervisor holds a record lock on its object from before anyone else can open it until it
 * ends. Such a lock is of a process: the kernel tells which one, and drops it at its death. So
 * the pid of a service is neither a file's word nor the table's. */
#ifndef SHM_OBJECT_H
#define SHM_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    OBJECT_NAME = 56,  /* bytes with its NUL: "/pasgate-", a hash, and ".xxxxxxxx" or not */
    OBJECT_TRUSTED = 3 /* uids at most */
};

struct object {
    char name[OBJECT_NAME]; /* "": none */
    int fd;                 /* holds the lock: to be kept, and closed with object_remove() */
};

/* A new object, empty, locked, 0600; those of the same name that we may remove are gone. Where
 * somebody else's stands in our way, it gets another name that begins with this one. 0 or -1
 * with errno. */
int object_create(struct object *object, const char *name);

/* From now on the members of this group may read it. 0 or -1 with errno. */
int object_share(const struct object *object, gid_t group);

/* Does its name still lead to it, or did somebody remove that? */
bool object_is_named(const struct object *object);

void object_remove(struct object *object);

/* Whose objects are believed, the first one most. */
struct object_trust {
    uid_t uid[OBJECT_TRUSTED];
    size_t n;
};

/* root, who we are, and the user of this name where there is one (NULL: none). */
struct object_trust object_trust(const char *user);

/* Opens an object to read when it is of one whom `trust` names, and nobody else may write to
 * it. -1 with errno: EPERM when it is not. *rank: the index in trust. */
int object_open(const char *name, const struct object_trust *trust, size_t *rank);

/* The process that holds its lock; 0: none (or not of this pid namespace); -1 with errno. */
pid_t object_holder(int fd);

/* Calls see() for each object whose name begins with `name` ("/pasgate-..."), until that
 * returns nonzero, which it returns then. */
int object_each(const char *name, int (*see)(const char *name, void *context), void *context);

#endif
