#include "supervisor/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* An OFD lock: unlike flock() it can be asked about without being taken, so
 * that `pasgate status` never stands in the way of a start. */
static int lock(int fd, int command, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};

    if (fcntl(fd, command, &whole) < 0)
        return -1;
    return command == F_OFD_GETLK && whole.l_type != F_UNLCK;
}

static pid_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

static void make_folder(const char *path)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s", path) < (int)sizeof copy)
        mkdir(dirname(copy), 0755);
}

/* Between open and lock the old holder may have removed the file. */
static int same_file(int fd, const char *path)
{
    struct stat open_one, named;

    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

int pidfile_lock(const char *path, pid_t *other)
{
    int fd = -1;

    *other = 0;
    do {
        fd_close(&fd);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0 && errno == ENOENT) {
            make_folder(path);
            fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        }
        if (fd < 0)
            return -1;
        if (lock(fd, F_OFD_SETLK, F_WRLCK) < 0) {
            if (errno == EACCES)
                errno = EAGAIN;
            goto fail;
        }
    } while (!same_file(fd, path));

    /* One write of a whole line, then the rest of an older, longer one goes:
     * at no moment is the file empty or its number cut. */
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) < 0)
        goto fail;
    return fd;
fail:
    *other = read_pid(fd);
    int error = errno;
    fd_close(&fd);
    errno = error;
    return -1;
}

void pidfile_unlock(const char *path, int *fd)
{
    if (*fd < 0)
        return;
    if (same_file(*fd, path))
        unlink(path);
    fd_close(fd);
}

pid_t pidfile_read(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    pid_t pid = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int held = lock(fd, F_OFD_GETLK, F_RDLCK);
    if (held < 0)
        pid = -1;
    else if (held)
        pid = read_pid(fd);
    close(fd);
    return pid;
}
