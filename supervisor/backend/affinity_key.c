#include "supervisor/backend/affinity_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/message.h"
#include "supervisor/state_dir.h"

#define FILE_NAME "affinity.key"

enum { KEY = MESSAGE_AFFINITY_KEY };

int affinity_key_init(uint8_t **key)
{
    uint8_t *at = mmap(NULL, KEY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return -1;
    /* Only hints: it starts even if the kernel does not support one. */
    madvise(at, KEY, MADV_WIPEONFORK);
    madvise(at, KEY, MADV_DONTDUMP);
    mlock(at, KEY);
    CHECK(getrandom(at, KEY, 0) == KEY); /* so few bytes neither fail nor come short */
    *key = at;
    return 0;
}

/* 0, or an errno: EPERM when others may read or write it, EINVAL when it is not a key. */
static int affinity_key_read_file(int fd, uint8_t key[KEY])
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IRWXG | S_IRWXO)))
        return EPERM;
    if (st.st_size != KEY)
        return EINVAL;
    ssize_t got = read(fd, key, KEY);
    return got == KEY ? 0 : got < 0 ? errno : EINVAL;
}

/* 1: read; 0: there is no file; -1 with errno: the file cannot be used. */
static int affinity_key_read_key(int dir, uint8_t key[KEY])
{
    int fd = openat(dir, FILE_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int error = affinity_key_read_file(fd, key);
    close(fd);
    errno = error;
    return error ? -1 : 1;
}

static void tell_unused(const char *path, bool dir_opened, int error)
{
    const char *why = strerror(error);

    if (error == EPERM)
        why = dir_opened ? "it must be a file that belongs to the service's user and that "
                           "nobody else may read or write"
                         : "that directory must belong to the service's user, and nobody else "
                           "may write to it";
    else if (error == EINVAL)
        why = "it is not a key: its size is wrong";
    log_warn("%s/" FILE_NAME ": not used: %s; earlier sessions may move to another backend",
             path, why);
}

bool affinity_key_load(uint8_t *key, const char *store, const struct identity *identity)
{
    uint8_t found[KEY];
    char path[PATH_MAX];
    int dir = -1, got = 0;

    if (!*store || !state_dir_name(path, store, identity))
        return false;
    dir = state_dir_open(path);
    if (dir < 0 && errno == ENOENT)
        return false;
    if (dir >= 0)
        got = affinity_key_read_key(dir, found);
    if (dir < 0 || got < 0)
        tell_unused(path, dir >= 0, errno);
    if (got > 0)
        memcpy(key, found, KEY);
    explicit_bzero(found, sizeof found);
    fd_close(&dir);
    return got > 0;
}

void affinity_key_save(const uint8_t *key, const char *store, const struct identity *identity)
{
    static struct log_gate gate;
    uint8_t found[KEY];
    char path[PATH_MAX];
    int dir;

    if (!*store || !state_dir_name(path, store, identity))
        return;
    dir = state_dir_make(path, store, identity);
    bool there =
        dir >= 0 && affinity_key_read_key(dir, found) > 0 && memcmp(found, key, KEY) == 0;
    if (!there && (dir < 0 || state_dir_write(dir, FILE_NAME, key, KEY) < 0) &&
        log_gate_open(&gate))
        log_warn(
            "%s/" FILE_NAME
            ": cannot be written; sessions may move to another backend after a restart: %s",
            path, strerror(errno));
    explicit_bzero(found, sizeof found);
    fd_close(&dir);
}

void affinity_key_release(uint8_t *key)
{
    if (!key)
        return;
    explicit_bzero(key, KEY);
    munmap(key, KEY);
}
