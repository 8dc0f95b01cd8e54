/* What the store notes about generations: the live one, those set aside, and marks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/store.h"
#include "acmed/cert/store_internal.h"
#include "base/fd.h"
#include "shm/stored.h"

enum {
    MARK_MAX = 32, /* bytes of "revoked", "event" */
};

static const char current_name[] = "current";
static const char new_current[] = ".new-current";

/* ---- the live one */

uint32_t store_current(const struct store *store, const char *dir)
{
    return stored_current(store->certs_fd, dir);
}

/* Some network file systems have no links: there, a file holds the number. */
static int make_link(int fd, const char *to)
{
    if (symlinkat(to, fd, new_current) == 0)
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    return store_write_file(fd, new_current, to, strlen(to));
}

static int put_link(int fd, uint32_t generation)
{
    char to[16];
    int error;

    snprintf(to, sizeof to, "%u", generation);
    unlinkat(fd, new_current, 0);
    if (make_link(fd, to) == 0 && renameat(fd, new_current, fd, current_name) == 0)
        return 0;
    error = errno;
    unlinkat(fd, new_current, 0);
    errno = error;
    return -1;
}

/* If it is not known to be on disk, the previous link is put back. */
int store_set_current(const struct store *store, const char *dir, uint32_t generation)
{
    int error, done, fd = store_open_ours(store, dir, false);
    uint32_t before;

    if (fd < 0)
        return -1;
    before = store_current(store, dir);
    done = put_link(fd, generation);
    error = errno;
    if (done == 0 && (done = fd_sync_dir(fd)) < 0) {
        error = errno;
        if (before)
            put_link(fd, before);
        else
            unlinkat(fd, current_name, 0);
    }
    close(fd);
    errno = error;
    return done;
}

void store_reject(const struct store *store, const char *dir, uint32_t generation)
{
    int fd = store_open_ours(store, dir, false);
    char from[16], to[32];

    if (fd < 0)
        return;
    snprintf(from, sizeof from, "%u", generation);
    snprintf(to, sizeof to, "%s%u", store_bad_prefix, generation);
    if (renameat(fd, from, fd, to) < 0)
        store_remove_generation(fd, from);
    store_remove_all(fd, store_bad_prefix, to);
    fsync(fd);
    close(fd);
}

/* ---- small files */

/* Writes a file under a temporary name, then renames it. 0, or -1 with errno; if only the fsync
 * of the directory failed, the new file is there. */
static int put_file(int fd, const char *temporary, const char *name, const char *text, size_t n)
{
    int error;

    unlinkat(fd, temporary, 0); /* left by a crash */
    if (store_write_file(fd, temporary, text, n) == 0 && renameat(fd, temporary, fd, name) == 0)
        return fd_sync_dir(fd);
    error = errno;
    unlinkat(fd, temporary, 0);
    errno = error;
    return -1;
}

int store_put_file(const struct store *store, const char *name, const char *text, size_t n)
{
    char temporary[MARK_MAX];

    errno = EBUSY;
    if (!store->ours || store->certs_fd < 0)
        return -1;
    snprintf(temporary, sizeof temporary, ".new-%s", name);
    return put_file(store->certs_fd, temporary, name, text, n);
}

/* ---- marks */

/* Puts a small file into a generation. Unless it replaces, a file of that name stays as it is,
 * whatever it holds, and is made durable once more: the fsync after its writing may have
 * failed, or never have been reached. 0, or -1 with errno; then the file may be there
 * nevertheless. */
static int put_mark(const struct store *store, const char *dir, uint32_t generation,
                    const char *name, const char *text, bool replaces)
{
    int done, error, fd = store_open_generation(store, dir, generation);
    struct stat st;

    if (fd < 0)
        return -1;
    done = !replaces && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0
               ? fd_sync_dir(fd)
               : put_file(fd, store_new_mark, name, text, strlen(text));
    error = errno;
    close(fd);
    errno = error;
    return done;
}

/* "": there is none. */
static void read_mark(const struct store *store, const char *dir, uint32_t generation,
                      const char *name, char text[MARK_MAX])
{
    int fd = store_open_generation(store, dir, generation);
    int file = fd < 0 ? -1 : openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = file < 0 ? -1 : read(file, text, MARK_MAX - 1);

    text[n > 0 ? n : 0] = '\0';
    fd_close(&file);
    fd_close(&fd);
}

int store_mark_revoked(const struct store *store, const char *dir, uint32_t generation,
                       unsigned reason)
{
    char text[MARK_MAX];

    snprintf(text, sizeof text, "reason=%u\n", reason);
    return put_mark(store, dir, generation, store_revoked_name, text, false);
}

unsigned store_marked_reason(const struct store *store, const char *dir, uint32_t generation)
{
    char text[MARK_MAX];
    unsigned reason = 0;

    read_mark(store, dir, generation, store_revoked_name, text);
    return sscanf(text, "reason=%9u", &reason) == 1 ? reason : 0;
}

int store_put_event(const struct store *store, const char *dir, uint32_t generation,
                    const char *event)
{
    char text[MARK_MAX];

    snprintf(text, sizeof text, "%s\n", event);
    return put_mark(store, dir, generation, store_event_name, text, false);
}

const char *store_event(const struct store *store, const char *dir, uint32_t generation)
{
    char text[MARK_MAX];

    read_mark(store, dir, generation, store_event_name, text);
    return strncmp(text, "issued\n", 7) == 0    ? "issued"
           : strncmp(text, "renewed\n", 8) == 0 ? "renewed"
                                                : NULL;
}

struct store_calls store_event_calls(const struct store *store, const char *dir,
                                     uint32_t generation)
{
    struct store_calls calls = {0};
    char text[MARK_MAX];

    read_mark(store, dir, generation, store_event_name, text);
    sscanf(text, "%*[a-z]\ncalls=%9u\ncut=%9u", &calls.begun, &calls.cut);
    return calls;
}

int store_note_calls(const struct store *store, const char *dir, uint32_t generation,
                     struct store_calls calls)
{
    const char *event = store_event(store, dir, generation);
    char text[MARK_MAX];

    if (!event)
        return 0;
    snprintf(text, sizeof text, calls.cut ? "%s\ncalls=%u\ncut=%u\n" : "%s\ncalls=%u\n", event,
             calls.begun, calls.cut);
    return put_mark(store, dir, generation, store_event_name, text, true);
}

void store_drop_event(const struct store *store, const char *dir, uint32_t generation)
{
    int fd = store_open_generation(store, dir, generation);

    if (fd >= 0)
        unlinkat(fd, store_event_name, 0);
    fd_close(&fd);
}

uint64_t store_marked_revoked(const struct store *store, const char *dir, uint32_t generation)
{
    char path[CERT_DIR_SIZE + 32];
    struct stat st;

    snprintf(path, sizeof path, "%s/%u/%s", dir, generation, store_revoked_name);
    if (fstatat(store->certs_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec * 1000 : 1;
}
