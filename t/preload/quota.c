/* For LD_PRELOAD: no file, directory or name is made in a directory that is already open, as
 * when a quota is used up, while the file $TEST_QUOTA exists. This is how acmed writes to its
 * store. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_used_up(int dir)
{
    const char *lasts = getenv("TEST_QUOTA");

    if (dir == AT_FDCWD || !lasts || access(lasts, F_OK) < 0)
        return false;
    errno = EDQUOT;
    return true;
}

int openat(int dir, const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;

    va_start(ap, flags);
    if (flags & O_CREAT)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    if (flags & O_CREAT && is_used_up(dir))
        return -1;
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    return is_used_up(dir) ? -1 : (int)syscall(SYS_mkdirat, dir, path, mode);
}
