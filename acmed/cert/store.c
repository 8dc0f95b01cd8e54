#include "acmed/cert/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/store_internal.h"
#include "acmed/key/secret.h"
#include "base/fd.h"
#include "shm/stored.h"

enum {
    DIR_MODE = 0750,
    META_MAX = 64,     /* bytes of "meta" */
    NEW_NAME = 48,     /* ".new-GENERATION-PID" */
    LISTED_MAX = 1024, /* generations that are listed; normally there are 3 */
};

static const char chain_name[] = "fullchain.pem";
static const char key_name[] = "key.pem";
static const char meta_name[] = "meta";
const char store_revoked_name[] = "revoked";
const char store_event_name[] = "event";
const char store_new_mark[] = ".new-mark"; /* becomes "revoked" or "event" */
static const char new_prefix[] = ".new-";
const char store_bad_prefix[] = ".bad-";

static const char *const source_names[] = {
    [CERT_NONE] = "none",
    [CERT_SELF_SIGNED] = "self",
    [CERT_FILE] = "file",
    [CERT_ACME] = "acme",
};

void pem_pair_release(struct pem_pair *pair)
{
    secret_free(pair->chain);
    secret_free(pair->key);
    *pair = (struct pem_pair){0};
}

/* ---- directories */

/* Opens a directory; with `make`, creates it if necessary. */
static int store_open_dir(int at, const char *name, bool make)
{
    int fd;

    if (make && mkdirat(at, name, DIR_MODE) < 0 && errno != EEXIST)
        return -1;
    fd = openat(at, name,
                O_RDONLY | O_DIRECTORY | O_CLOEXEC | (at == AT_FDCWD ? 0 : O_NOFOLLOW));
    return fd;
}

int store_open(struct store *store, const char *path)
{
    int error, fd = -1;

    store->path = path;
    if (store->certs_fd < 0) {
        fd = store_open_dir(AT_FDCWD, path, true);
        if (fd < 0)
            return -1;
        store->certs_fd = store_open_dir(fd, "certs", true);
        error = errno;
        if (store->certs_fd >= 0)
            fsync(fd); /* makes it durable; a failing disk shows at the next write */
        close(fd);
        errno = error;
    }
    if (store->certs_fd < 0)
        return -1;
    /* A file system without locks cannot tell: the store counts as ours. */
    store->ours =
        store->ours || flock(store->certs_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    errno = EBUSY;
    return store->ours ? 0 : -1;
}

void store_peek(struct store *store, const char *path)
{
    char certs[PATH_MAX];

    *store = (struct store){.path = path, .certs_fd = -1};
    if (snprintf(certs, sizeof certs, "%s/certs", path) < (int)sizeof certs)
        store->certs_fd = open(certs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void store_release(struct store *store)
{
    fd_close(&store->certs_fd);
    store->ours = false;
}

int store_open_ours(const struct store *store, const char *dir, bool make)
{
    if (store->ours)
        return store_open_dir(store->certs_fd, dir, make);
    errno = EBUSY;
    return -1;
}

static int newest_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Adds a generation; when the list is full, instead of the oldest. */
static int store_list_add(uint32_t *out, int n, uint32_t generation)
{
    int oldest = 0;

    if (n < LISTED_MAX) {
        out[n] = generation;
        return n + 1;
    }
    for (int i = 1; i < n; i++)
        if (out[i] < out[oldest])
            oldest = i;
    if (out[oldest] < generation)
        out[oldest] = generation;
    return n;
}

/* Generations in an open directory, newest first: the LISTED_MAX newest. */
static int list_in(int dir_fd, uint32_t *out)
{
    int n = 0, fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        fd_close(&fd);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        uint32_t generation = stored_number(entry->d_name);

        if (generation)
            n = store_list_add(out, n, generation);
    }
    closedir(dir);
    qsort(out, (size_t)n, sizeof *out, newest_first);
    return n;
}

/* The highest number that was ever used here, as far as the directory shows. */
static uint32_t highest_in(int dir_fd, uint32_t above)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    uint32_t highest = above;

    if (!dir) {
        fd_close(&fd);
        return highest;
    }
    while ((entry = readdir(dir)) != NULL) {
        bool bad = strncmp(entry->d_name, store_bad_prefix, sizeof store_bad_prefix - 1) == 0;
        uint32_t n = stored_number(entry->d_name + (bad ? sizeof store_bad_prefix - 1 : 0));

        if (n > highest)
            highest = n;
    }
    closedir(dir);
    return highest;
}

int store_list(const struct store *store, const char *dir, uint32_t *out, int max)
{
    uint32_t all[LISTED_MAX];
    int n, fd = store_open_dir(store->certs_fd, dir, false);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    n = list_in(fd, all);
    close(fd);
    for (int i = 0; i < n && i < max; i++)
        out[i] = all[i];
    return n < max ? n : max;
}

/* ---- reading */

static int store_read_file(int at, const char *name, char **text, size_t *n)
{
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return -1;
    *text = secret_read(fd, STORE_PEM_MAX, n);
    close(fd);
    return *text ? 0 : -1;
}

static enum cert_source meta_source(const char *meta)
{
    char want[META_MAX];

    for (size_t s = CERT_SELF_SIGNED; s < sizeof source_names / sizeof *source_names; s++) {
        snprintf(want, sizeof want, "source=%s\n", source_names[s]);
        if (strcmp(meta, want) == 0)
            return (enum cert_source)s;
    }
    return CERT_NONE;
}

/* *of: 0 when none was noted. 0, or -1 with errno if there is none, or it cannot be read. */
static int read_meta(int at, enum cert_source *source, uint32_t *of)
{
    char meta[META_MAX + 1], *end;
    int error, fd = openat(at, meta_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, meta, META_MAX);

    error = errno;
    fd_close(&fd);
    *of = 0;
    *source = CERT_NONE;
    errno = error;
    if (n < 0)
        return -1;
    meta[n] = '\0';
    end = strstr(meta, "\nof=");
    if (end && n > 0 && meta[n - 1] == '\n') {
        meta[n - 1] = '\0';
        *of = stored_number(end + 4);
        end[1] = '\0';
    }
    *source = meta_source(meta);
    return 0;
}

int store_open_generation(const struct store *store, const char *dir, uint32_t generation)
{
    char path[CERT_DIR_SIZE + 16];

    snprintf(path, sizeof path, "%s/%u", dir, generation);
    return store_open_dir(store->certs_fd, path, false);
}

/* Without a note of where it came from it is complete, but not while that cannot be read: a
 * pair from configured files would not be known as one. */
static const char *read_all(int fd, struct pem_pair *pair, enum cert_source *source)
{
    uint32_t of;

    if (store_read_file(fd, chain_name, &pair->chain, &pair->n_chain) < 0)
        return chain_name;
    if (store_read_file(fd, key_name, &pair->key, &pair->n_key) < 0)
        return key_name;
    return read_meta(fd, source, &of) < 0 && store_unreadable(errno) ? meta_name : NULL;
}

int store_read(const struct store *store, const char *dir, uint32_t generation,
               struct pem_pair *pair, enum cert_source *source)
{
    const char *file;

    return store_read_where(store, dir, generation, pair, source, &file);
}

int store_read_where(const struct store *store, const char *dir, uint32_t generation,
                     struct pem_pair *pair, enum cert_source *source, const char **file)
{
    int error, done = -1, fd = store_open_generation(store, dir, generation);

    *pair = (struct pem_pair){0};
    *file = "";
    if (fd < 0)
        return -1;
    *file = read_all(fd, pair, source);
    if (!*file)
        done = 0;
    error = errno;
    close(fd);
    if (done < 0)
        pem_pair_release(pair);
    errno = error;
    return done;
}

uint32_t store_origin(const struct store *store, const char *dir, uint32_t generation)
{
    int fd = store_open_generation(store, dir, generation);
    enum cert_source source;
    uint32_t of = 0;

    if (fd >= 0)
        read_meta(fd, &source, &of);
    fd_close(&fd);
    return of && of < generation ? of : generation;
}

bool store_has(const struct store *store, const char *dir, uint32_t generation)
{
    static const char *const files[] = {chain_name, key_name};
    char path[CERT_DIR_SIZE + 32];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%u/%s", dir, generation, files[i]);
        if (faccessat(store->certs_fd, path, F_OK, 0) < 0 &&
            (errno == ENOENT || errno == ENOTDIR))
            return false;
    }
    return true;
}

int store_write_file(int at, const char *name, const char *text, size_t n)
{
    int error, done = -1;
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, STORE_FILE_MODE);

    if (fd < 0)
        return -1;
    /* fchmod: the mode must not depend on the inherited umask. */
    if (fchmod(fd, STORE_FILE_MODE) == 0 && fd_write_all(fd, text, n) == 0 && fsync(fd) == 0)
        done = 0;
    error = errno;
    close(fd);
    errno = error;
    return done;
}

/* ---- removing */

void store_remove_generation(int dir_fd, const char *name)
{
    static const char *const files[] = {chain_name,         key_name,         meta_name,
                                        store_revoked_name, store_event_name, store_new_mark};
    int fd = store_open_dir(dir_fd, name, false);

    if (fd < 0)
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(fd, files[i], 0);
    close(fd);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void store_remove_all(int dir_fd, const char *prefix, const char *but)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        fd_close(&fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            strcmp(entry->d_name, but) != 0)
            store_remove_generation(dir_fd, entry->d_name);
    closedir(dir);
}

/* A secret; NULL: it cannot be read. */
static char *store_read_chain(int dir_fd, uint32_t generation, size_t *n)
{
    char path[32], *text = NULL;

    snprintf(path, sizeof path, "%u/%s", generation, chain_name);
    return store_read_file(dir_fd, path, &text, n) == 0 ? text : NULL;
}

/* Comparing chains is enough: the key is the one that matches. */
static bool is_copy(int dir_fd, uint32_t generation, const uint32_t *of, int n_of)
{
    size_t n = 0, m = 0;
    char *chain = store_read_chain(dir_fd, generation, &n);
    bool copy = false;

    for (int i = 0; i < n_of && chain && !copy; i++) {
        char *other = store_read_chain(dir_fd, of[i], &m);

        copy = other && n == m && memcmp(chain, other, n) == 0;
        secret_free(other);
    }
    secret_free(chain);
    return copy;
}

static void remove_number(int dir_fd, uint32_t generation)
{
    char name[16];

    snprintf(name, sizeof name, "%u", generation);
    store_remove_generation(dir_fd, name);
}

void store_prune(const struct store *store, const char *dir)
{
    uint32_t all[LISTED_MAX], keep[STORE_KEEP], current;
    int n, kept = 0, fd = store_open_ours(store, dir, false);

    if (fd < 0)
        return;
    n = list_in(fd, all);
    current = stored_current(store->certs_fd, dir);
    for (int i = 0; i < n; i++) {
        bool pair = kept < STORE_KEEP && !is_copy(fd, all[i], keep, kept);

        if (pair)
            keep[kept++] = all[i];
        else if (i > 0 && all[i] != current)
            remove_number(fd, all[i]);
    }
    close(fd);
}

/* ---- writing */

static int write_generation(int fd, const struct pem_pair *pair, enum cert_source source,
                            uint32_t of)
{
    char meta[META_MAX];
    int n = snprintf(meta, sizeof meta, "source=%s\n", source_names[source]);

    if (of)
        n += snprintf(meta + n, sizeof meta - (size_t)n, "of=%u\n", of);
    if (fchmod(fd, DIR_MODE) < 0 ||
        store_write_file(fd, chain_name, pair->chain, pair->n_chain) < 0 ||
        store_write_file(fd, key_name, pair->key, pair->n_key) < 0 ||
        store_write_file(fd, meta_name, meta, (size_t)n) < 0)
        return -1;
    return fd_sync_dir(fd);
}

uint32_t store_write(const struct store *store, const char *dir, uint32_t above,
                     const struct pem_pair *pair, enum cert_source source)
{
    return store_write_again(store, dir, above, pair, source, 0);
}

uint32_t store_write_again(const struct store *store, const char *dir, uint32_t above,
                           const struct pem_pair *pair, enum cert_source source, uint32_t of)
{
    uint32_t generation = 0;
    char temporary[NEW_NAME], final[16];
    int error, dir_fd = -1, fd = -1;
    bool renamed;

    dir_fd = store_open_ours(store, dir, true);
    if (dir_fd < 0 || fchmod(dir_fd, DIR_MODE) < 0)
        goto out;
    store_remove_all(dir_fd, new_prefix, "");
    generation = highest_in(dir_fd, above) + 1;
    snprintf(final, sizeof final, "%u", generation);
    snprintf(temporary, sizeof temporary, "%s%u-%d", new_prefix, generation, (int)getpid());
    fd = store_open_dir(dir_fd, temporary, true);
    renamed = fd >= 0 && write_generation(fd, pair, source, of) == 0 &&
              renameat(dir_fd, temporary, dir_fd, final) == 0;
    if (!renamed || fd_sync_dir(dir_fd) < 0 || fd_sync_dir(store->certs_fd) < 0) {
        error = errno;
        /* Back to its temporary name first, so that no half of it is ever found. */
        if (!renamed || renameat(dir_fd, final, dir_fd, temporary) == 0)
            store_remove_generation(dir_fd, temporary);
        else
            store_remove_generation(dir_fd, final);
        errno = error;
        generation = 0;
    }
out:
    error = errno;
    fd_close(&fd);
    fd_close(&dir_fd);
    errno = error;
    return generation;
}
