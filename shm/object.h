/* The object in /dev/shm that holds a table: how it is made although anybody may put files
 * there, and which objects a reader trusts.
 *
 * The supervisor holds a record lock on its object, from before any other process can open it
 * until it ends. Such a lock belongs to a process: the kernel reports which one, and drops the
 * lock at its death. So a service's pid comes neither from a file nor from the table. */
#ifndef SHM_OBJECT_H
#define SHM_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    OBJECT_NAME = 56,  /* bytes with its NUL: "/pasgate-", a hash, and possibly ".xxxxxxxx" */
    OBJECT_TRUSTED = 3 /* uids at most */
};

struct object {
    char name[OBJECT_NAME]; /* "": none */
    int fd;                 /* holds the lock: keep it open; object_remove() closes it */
    int fd_read; /* of the same object, for reading only. Closing it would end the lock, too */
};

/* Makes a new object: empty, locked, 0600. Objects with the same name are removed if we may.
 * If another user's object is in the way, the new one gets another name that begins with this
 * one. 0, or -1 with errno. */
int object_create(struct object *object, const char *name);

/* Lets the members of this group read it from now on. 0, or -1 with errno. */
int object_share(const struct object *object, gid_t group);

/* Does its name still lead to it, or was the name removed? true too if the kernel does not say:
 * "removed" is reported once and for good, so it needs a proof. */
bool object_is_named(const struct object *object);

void object_remove(struct object *object);

/* The users whose objects are trusted, the most trusted first. */
struct object_trust {
    uid_t uid[OBJECT_TRUSTED];
    size_t n;
};

/* root, our own user, and the user with this name if there is one (NULL: none). */
struct object_trust object_trust(const char *user);

/* Opens an object for reading if it belongs to a user in `trust` and no other user may write to
 * it. -1 with errno, EPERM if that does not hold. *rank: the index in trust. */
int object_open(const char *name, const struct object_trust *trust, size_t *rank);

/* The process that holds the object's lock; 0: none (or in another pid
 * namespace); -1 with errno. */
pid_t object_holder(int fd);

/* Calls see() for each object whose name begins with `name` ("/pasgate-..."), until see()
 * returns nonzero; returns that value. */
int object_each(const char *name, int (*see)(const char *name, void *context), void *context);

#endif
