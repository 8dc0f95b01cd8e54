#include "acmed/order/kvfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/key/secret.h"
#include "base/fd.h"

enum { DIR_MODE = 0700, FILE_MODE = 0600, NAME_MAX_BYTES = 64 };

/* Opens a directory below `at`; with `make`, creates it and syncs its parent. */
static int open_below(int at, const char *name, bool make)
{
    bool made = make && mkdirat(at, name, DIR_MODE) == 0;

    if (made && fd_sync_dir(at) < 0) { /* the next try makes it again, and syncs again */
        int error = errno;

        unlinkat(at, name, AT_REMOVEDIR);
        errno = error;
        return -1;
    }
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

int kvfile_open(const char *store, const char *kind, const char *name, bool make)
{
    int root = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int above = root < 0 ? -1 : open_below(root, kind, make);
    int dir = above < 0 ? -1 : open_below(above, name, make);
    int error = errno;

    fd_close(&above);
    fd_close(&root);
    errno = error;
    return dir;
}

bool kvfile_gone(int dir)
{
    struct stat st;

    return fstat(dir, &st) == 0 && st.st_nlink == 0;
}

/* What a crash may leave beside a file. */
struct beside {
    char new[NAME_MAX_BYTES], old[NAME_MAX_BYTES];
};

static void clear_beside(int dir, const char *file, struct beside *beside)
{
    snprintf(beside->new, sizeof beside->new, ".new-%s", file);
    snprintf(beside->old, sizeof beside->old, ".old-%s", file);
    unlinkat(dir, beside->new, 0);
    unlinkat(dir, beside->old, 0);
}

static int write_new(int dir, const char *name, const char *text, size_t n)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    int error = 0;

    if (fd < 0)
        return -1;
    if (fchmod(fd, FILE_MODE) < 0 || fd_write_all(fd, text, n) < 0 || fsync(fd) < 0)
        error = errno;
    fd_close(&fd);
    errno = error;
    return error ? -1 : 0;
}

/* Until the new file is known to be on disk, the old one keeps a second name, so that a failure
 * can put it back. On a file system without hard links the new file stays. */
static int give_name(int dir, const char *file, const struct beside *beside)
{
    bool kept = linkat(dir, file, dir, beside->old, 0) == 0, first = !kept && errno == ENOENT;
    int error;

    if (renameat(dir, beside->new, dir, file) < 0)
        return -1;
    if (fd_sync_dir(dir) == 0)
        return 0;
    error = errno;
    if (kept)
        renameat(dir, beside->old, dir, file);
    else if (first)
        unlinkat(dir, file, 0);
    errno = error;
    return -1;
}

int kvfile_write(int dir, const char *file, const char *text, size_t n)
{
    struct beside beside;
    int error, done;

    clear_beside(dir, file, &beside);
    done = write_new(dir, beside.new, text, n) < 0 ? -1 : give_name(dir, file, &beside);
    error = errno;
    clear_beside(dir, file, &beside);
    errno = error;
    return done;
}

static char *kvfile_read_by(char *(*reads)(int fd, size_t max, size_t *n), int dir,
                            const char *file, size_t max, size_t *n)
{
    int error, fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char *text = fd < 0 ? NULL : reads(fd, max, n);

    error = errno;
    fd_close(&fd);
    errno = error;
    return text;
}

char *kvfile_read(int dir, const char *file, size_t max, size_t *n)
{
    return kvfile_read_by(fd_read_all, dir, file, max, n);
}

char *kvfile_read_secret(int dir, const char *file, size_t *n)
{
    return kvfile_read_by(secret_read, dir, file, KVFILE_TEXT_MAX, n);
}

void kvfile_remove(int dir, const char *file)
{
    struct beside beside;

    clear_beside(dir, file, &beside); /* a key must not outlive its removal */
    if (unlinkat(dir, file, 0) == 0)
        fsync(dir);
}

int kvfile_line(struct str *rest, struct str *key, struct str *value)
{
    const char *end, *equals;

    if (rest->n == 0)
        return 0;
    end = memchr(rest->p, '\n', rest->n);
    equals = end ? memchr(rest->p, '=', (size_t)(end - rest->p)) : NULL;
    if (!equals || equals == rest->p)
        return -1;
    *key = str_span(rest->p, equals);
    *value = str_span(equals + 1, end);
    *rest = str_span(end + 1, rest->p + rest->n);
    return 1;
}

bool kvfile_number(struct str value, uint64_t *out)
{
    uint64_t number = 0;

    if (value.n == 0 || (value.n > 1 && value.p[0] == '0'))
        return false;
    for (size_t i = 0; i < value.n; i++) {
        uint64_t digit = (uint64_t)(unsigned char)value.p[i] - '0';

        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool kvfile_text(struct str value, char *out, size_t cap)
{
    if (value.n >= cap)
        return false;
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
            return false;
    if (value.n > 0)
        memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return true;
}
