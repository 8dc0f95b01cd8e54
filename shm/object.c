#include "shm/object.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define DIRECTORY "/dev/shm" /* where shm_open() has its objects */

enum { NAME_TRIES = 8 }; /* a stranger would have to guess 32 bits as often */

int object_each(const char *name, int (*see)(const char *name, void *context), void *context)
{
    const char *begin = name + 1;
    char whole[OBJECT_NAME];
    DIR *dir = opendir(DIRECTORY);
    int rc = 0;

    for (const struct dirent *e; rc == 0 && dir && (e = readdir(dir));)
        if (strncmp(e->d_name, begin, strlen(begin)) == 0 &&
            snprintf(whole, sizeof whole, "/%s", e->d_name) < (int)sizeof whole)
            rc = see(whole, context);
    if (dir)
        closedir(dir);
    return rc;
}

/* ---- creation */

static int object_remove_one(const char *name, void *context)
{
    (void)context;
    shm_unlink(name); /* other users' objects stay, and then we take another name */
    return 0;
}

/* Always a new object: readers of a dead service's object keep theirs. */
static int open_new(struct object *object, const char *name)
{
    unsigned random;

    object_each(name, object_remove_one, NULL);
    snprintf(object->name, sizeof object->name, "%s", name);
    for (int i = 0; i < NAME_TRIES; i++) {
        object->fd = shm_open(object->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (object->fd >= 0)
            return 0;
        if (errno != EEXIST || getrandom(&random, sizeof random, 0) != sizeof random)
            return -1;
        snprintf(object->name, sizeof object->name, "%s.%08x", name, random);
    }
    return -1;
}

int object_create(struct object *object, const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    *object = (struct object){.fd = -1, .fd_read = -1};
    if (open_new(object, name) < 0) {
        object->name[0] = '\0';
        return -1;
    }
    object->fd_read = shm_open(object->name, O_RDONLY | O_CLOEXEC, 0);
    if (object->fd_read >= 0 && fcntl(object->fd, F_SETLK, &lock) == 0)
        return 0;

    int error = errno;

    object_remove(object);
    errno = error;
    return -1;
}

int object_share(const struct object *object, gid_t group)
{
    return fchown(object->fd, (uid_t)-1, group) == 0 ? fchmod(object->fd, 0640) : -1;
}

bool object_is_named(const struct object *object)
{
    struct stat st;

    return fstat(object->fd, &st) < 0 || st.st_nlink > 0;
}

void object_remove(struct object *object)
{
    if (!*object->name)
        return;
    shm_unlink(object->name);
    fd_close(&object->fd);
    fd_close(&object->fd_read);
    *object = (struct object){.fd = -1, .fd_read = -1};
}

/* ---- trust */

static void believe(struct object_trust *trust, uid_t uid)
{
    for (size_t i = 0; i < trust->n; i++)
        if (trust->uid[i] == uid)
            return;
    trust->uid[trust->n++] = uid;
}

struct object_trust object_trust(const char *user)
{
    const struct passwd *entry = user ? getpwnam(user) : NULL;
    struct object_trust trust = {.n = 0};

    believe(&trust, 0);
    believe(&trust, geteuid());
    if (entry)
        believe(&trust, entry->pw_uid);
    return trust;
}

int object_open(const char *name, const struct object_trust *trust, size_t *rank)
{
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        for (size_t i = 0; i < trust->n; i++)
            if (trust->uid[i] == st.st_uid) {
                *rank = i;
                return fd;
            }
    close(fd);
    errno = EPERM;
    return -1;
}

pid_t object_holder(int fd)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_GETLK, &lock) < 0)
        return -1;
    return lock.l_type == F_WRLCK && lock.l_pid > 0 ? lock.l_pid : 0;
}
