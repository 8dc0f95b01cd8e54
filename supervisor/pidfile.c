#include "supervisor/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { MODE = 0600 }; /* who can open it can lock it */

/* Takes an OFD lock: it belongs to the descriptor, so closing another descriptor of this file
 * does not release it. 0, or -1 with errno: EAGAIN when another process holds a lock, of *type
 * then. */
static int lock(int fd, short *type)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    *type = F_UNLCK;
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
        return 0;
    if (errno == EACCES)
        errno = EAGAIN;
    int error = errno;
    whole.l_type = F_WRLCK;
    if (error == EAGAIN && fcntl(fd, F_OFD_GETLK, &whole) == 0)
        *type = whole.l_type;
    errno = error;
    return -1;
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

static void make_dir(const char *path)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s", path) < (int)sizeof copy)
        mkdir(dirname(copy), 0755);
}

static int pidfile_same_file(int fd, const char *path)
{
    struct stat open_one, named;

    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
           open_one.st_ino == named.st_ino && open_one.st_dev == named.st_dev;
}

static int open_it(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, MODE);

    if (fd < 0 && errno == ENOENT) {
        make_dir(path);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, MODE);
    }
    return fd;
}

/* Does it belong to us, or at least to root? An older pasgate made it readable for
 * everybody. */
static bool pidfile_is_ours(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        (st.st_uid != geteuid() && st.st_uid != 0))
        return false;
    if ((st.st_mode & 07777) != MODE)
        (void)fchmod(fd, MODE);
    return true;
}

/* Opens the file and locks it. -1 with errno; EAGAIN, with *fd open: another process holds it.
 *
 * In a directory that everybody may write to, the file can be somebody else's; and a process
 * that had it open before it became 0600 may hold a read lock on it. Neither is a supervisor,
 * so such a file is replaced. (Two supervisors that start at the same moment while a stranger
 * does that could both go on. That is better than a stranger who decides whether anybody can
 * start.) */
static int open_and_lock(const char *path, int *fd)
{
    enum { TRIES = 10 };
    int error = EAGAIN;

    for (int i = 0; i < TRIES; i++) {
        short held = F_WRLCK;

        fd_close(fd);
        *fd = open_it(path);
        if (*fd < 0 && errno != EACCES && errno != EPERM) /* the kernel protects them, too */
            return -1;
        error = errno;
        if (*fd >= 0 && pidfile_is_ours(*fd)) {
            if (lock(*fd, &held) == 0) {
                /* The old holder may have removed the file between open and lock. */
                if (pidfile_same_file(*fd, path))
                    return 0;
                continue;
            }
            error = errno;
            if (errno != EAGAIN || held == F_WRLCK)
                break;
            if (held == F_UNLCK)
                continue; /* the lock has gone meanwhile */
        } else if (*fd >= 0) {
            error = EPERM;
        }
        if (unlink(path) < 0 && errno != ENOENT)
            break;
    }
    errno = error;
    return -1;
}

int pidfile_lock(const char *path, pid_t *other)
{
    int fd = -1;

    *other = 0;
    if (open_and_lock(path, &fd) < 0)
        goto fail;
    /* One write of a whole line, then the rest of a longer old line is cut off: the file is
     * never empty, and its number never incomplete. */
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (pwrite(fd, text, (size_t)n, 0) != n || ftruncate(fd, n) < 0)
        goto fail;
    return fd;
fail:;
    int error = errno;
    if (fd >= 0)
        *other = read_pid(fd);
    fd_close(&fd);
    errno = error;
    return -1;
}

pid_t pidfile_holder(const char *path)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pid_t pid = 0;

    if (fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type == F_WRLCK)
        pid = read_pid(fd);
    fd_close(&fd);
    return pid;
}

void pidfile_unlock(const char *path, int *fd)
{
    if (*fd < 0)
        return;
    if (pidfile_same_file(*fd, path))
        unlink(path);
    fd_close(fd);
}
