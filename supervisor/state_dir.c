#include "supervisor/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

bool state_dir_name(char out[PATH_MAX], const char *store, const struct identity *identity)
{
    size_t n = strlen(store);

    while (n > 1 && store[n - 1] == '/')
        n--;
    return snprintf(out, PATH_MAX, "%.*s%s", (int)n, store,
                    identity->change ? "-state" : "/state") < PATH_MAX;
}

int state_dir_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return -1;
    int error = 0;
    if (fstat(fd, &st) < 0)
        error = errno;
    else if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        error = EPERM;
    if (error) {
        fd_close(&fd);
        errno = error;
    }
    return fd;
}

int state_dir_make(const char *path, const char *store, const struct identity *identity)
{
    /* This creates the parents, and for a user other than root the store that contains it. */
    if (privilege_make_store(store, identity) < 0 ||
        (fd_make_dir(path, 0700) < 0 && errno != EEXIST))
        return -1;
    return state_dir_open(path);
}

int state_dir_write(int dir, const char *name, const void *bytes, size_t n)
{
    char fresh[NAME_MAX + 1];
    int fd, error = 0;

    snprintf(fresh, sizeof fresh, "%s.new", name);
    fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (fd_write_all(fd, bytes, n) < 0 || fsync(fd) < 0)
        error = errno;
    fd_close(&fd);
    errno = error;
    return error || renameat(dir, fresh, dir, name) < 0 ? -1 : fd_sync_dir(dir);
}
