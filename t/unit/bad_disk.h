/* A disk that fails: fsync() for the program that includes this, instead of libc's. */
#ifndef T_UNIT_BAD_DISK_H
#define T_UNIT_BAD_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1: the next one fails; 0: none. */
static int sync_fails;
/* A file system that cannot sync a directory. */
static bool no_dir_sync;

int fsync(int fd)
{
    struct stat st;

    if (no_dir_sync && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    if (sync_fails && --sync_fails == 0) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

#endif
