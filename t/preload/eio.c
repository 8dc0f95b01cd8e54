/* For LD_PRELOAD: openat() of $TEST_EIO, the name of a file without its directory, fails with
 * EIO as it does on a failing disk, while the file $TEST_EIO_WHILE exists. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int openat(int dir, const char *path, int flags, ...)
{
    const char *name = getenv("TEST_EIO"), *lasts = getenv("TEST_EIO_WHILE");
    mode_t mode = 0;
    va_list ap;

    if (name && lasts && strcmp(path, name) == 0 && access(lasts, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    va_start(ap, flags);
    if (flags & O_CREAT)
        mode = va_arg(ap, mode_t);
    va_end(ap);
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}
