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

#include "acmed/key/secret.h"
#include "base/fd.h"
#include "shm/stored.h"

enum {
    DIR_MODE = 0750,
    FILE_MODE = 0640,
    META_MAX = 64,       /* bytes of "meta" */
    MARK_MAX = 32,       /* bytes of "revoked", "event" */
    NEW_NAME = 48,       /* ".new-GENERATION-PID" */
    LINK_MAX_BYTES = 64, /* of `current` */
    LISTED_MAX = 1024,   /* generations that are listed; normally there are 3 */
};

static const char chain_name[] = "fullchain.pem";
static const char key_name[] = "key.pem";
static const char meta_name[] = "meta";
static const char revoked_name[] = "revoked";
static const char event_name[] = "event";
static const char new_mark[] = ".new-mark"; /* becomes "revoked" or "event" */
static const char new_prefix[] = ".new-";
static const char bad_prefix[] = ".bad-";
static const char current_name[] = "current";
static const char new_current[] = ".new-current";

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

bool store_there(const struct store *store)
{
    char path[PATH_MAX];
    struct stat ours, there;

    if (snprintf(path, sizeof path, "%s/certs", store->path) >= (int)sizeof path ||
        fstat(store->certs_fd, &ours) < 0)
        return true;
    if (stat(path, &there) < 0)
        return errno != ENOENT && errno != ENOTDIR;
    return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* Checks one path below the store: true if it is accessible or does not exist. */
static bool usable(const char *path, int how, char why[TABLE_NOTE])
{
    if (access(path, how) == 0 || errno == ENOENT || errno == ENOTDIR)
        return true;
    int error = errno;
    bool read = how & W_OK && access(path, how & ~W_OK) == 0;

    snprintf(why, TABLE_NOTE,
             "cannot %s the store %.160s: %s; workers keep what they have loaded, and nothing "
             "is ordered",
             read ? "write to" : "read", path, store_says(error));
    return false;
}

bool store_usable(const char *path, const char *dir, uint32_t generation, char why[TABLE_NOTE])
{
    static const char *const parts[] = {"certs", "orders", "accounts"};
    size_t n = dir ? 2 : 3; /* accounts do not belong to one certificate */
    char part[PATH_MAX];

    why[0] = '\0';
    if (!dir && !usable(path, R_OK | X_OK, why))
        return false;
    for (size_t i = 0; i < n; i++) {
        snprintf(part, sizeof part, "%.2048s/%s/%.255s", path, parts[i], dir ? dir : "");
        if (!usable(part, R_OK | W_OK | X_OK, why))
            return false;
    }
    if (!dir || generation == 0)
        return true;
    snprintf(part, sizeof part, "%.2048s/certs/%.255s/%u/key.pem", path, dir, generation);
    return usable(part, R_OK, why);
}

const char *store_says(int error)
{
    switch (error) {
    case EBUSY:
        return "another pasgate uses it";
    case EACCES:
        return "Permission denied; make the user that the children run as its owner";
    default:
        return strerror(error);
    }
}

void store_release(struct store *store)
{
    fd_close(&store->certs_fd);
    store->ours = false;
}

/* For writing; -1 with errno, EBUSY when the store is not ours. */
static int open_ours(const struct store *store, const char *dir, bool make)
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
        bool bad = strncmp(entry->d_name, bad_prefix, sizeof bad_prefix - 1) == 0;
        uint32_t n = stored_number(entry->d_name + (bad ? sizeof bad_prefix - 1 : 0));

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
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    *text = secret_read(fd, STORE_PEM_MAX, n);
    close(fd);
    return *text ? 0 : -1;
}

/* *of: 0 when none was noted. */
static enum cert_source read_meta(int at, uint32_t *of)
{
    char meta[META_MAX + 1], want[META_MAX], *end;
    int fd = openat(at, meta_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, meta, META_MAX);

    fd_close(&fd);
    *of = 0;
    if (n < 0)
        return CERT_NONE;
    meta[n] = '\0';
    end = strstr(meta, "\nof=");
    if (end && n > 0 && meta[n - 1] == '\n') {
        meta[n - 1] = '\0';
        *of = stored_number(end + 4);
        end[1] = '\0';
    }
    for (size_t s = CERT_SELF_SIGNED; s < sizeof source_names / sizeof *source_names; s++) {
        snprintf(want, sizeof want, "source=%s\n", source_names[s]);
        if (strcmp(meta, want) == 0)
            return (enum cert_source)s;
    }
    return CERT_NONE;
}

static int open_generation(const struct store *store, const char *dir, uint32_t generation)
{
    char path[CERT_DIR_SIZE + 16];

    snprintf(path, sizeof path, "%s/%u", dir, generation);
    return store_open_dir(store->certs_fd, path, false);
}

int store_read(const struct store *store, const char *dir, uint32_t generation,
               struct pem_pair *pair, enum cert_source *source)
{
    int error, done = -1, fd = open_generation(store, dir, generation);
    uint32_t of;

    *pair = (struct pem_pair){0};
    if (fd < 0)
        return -1;
    if (store_read_file(fd, chain_name, &pair->chain, &pair->n_chain) == 0 &&
        store_read_file(fd, key_name, &pair->key, &pair->n_key) == 0) {
        *source = read_meta(fd, &of);
        done = 0;
    }
    error = errno;
    close(fd);
    if (done < 0)
        pem_pair_release(pair);
    errno = error;
    return done;
}

uint32_t store_origin(const struct store *store, const char *dir, uint32_t generation)
{
    int fd = open_generation(store, dir, generation);
    uint32_t of = 0;

    if (fd >= 0)
        read_meta(fd, &of);
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

/* ---- removing */

static void remove_generation(int dir_fd, const char *name)
{
    static const char *const files[] = {chain_name,   key_name,   meta_name,
                                        revoked_name, event_name, new_mark};
    int fd = store_open_dir(dir_fd, name, false);

    if (fd < 0)
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(fd, files[i], 0);
    close(fd);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* Removes what a crash left half-written, and other entries with this prefix. */
static void remove_all(int dir_fd, const char *prefix, const char *but)
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
            remove_generation(dir_fd, entry->d_name);
    closedir(dir);
}

/* ---- the live one */

static int store_write_file(int at, const char *name, const char *text, size_t n)
{
    int error, done = -1;
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

    if (fd < 0)
        return -1;
    /* fchmod: the mode must not depend on the inherited umask. */
    if (fchmod(fd, FILE_MODE) == 0 && fd_write_all(fd, text, n) == 0 && fsync(fd) == 0)
        done = 0;
    error = errno;
    close(fd);
    errno = error;
    return done;
}

uint32_t store_current(const struct store *store, const char *dir)
{
    return stored_current(store->certs_fd, dir);
}

static int put_link(int fd, const char *to)
{
    int error;

    unlinkat(fd, new_current, 0);
    if (symlinkat(to, fd, new_current) == 0 && renameat(fd, new_current, fd, current_name) == 0)
        return 0;
    error = errno;
    unlinkat(fd, new_current, 0);
    errno = error;
    return -1;
}

/* If it is not known to be on disk, the previous link is put back. */
int store_set_current(const struct store *store, const char *dir, uint32_t generation)
{
    int error, done, fd = open_ours(store, dir, false);
    char to[16], before[LINK_MAX_BYTES];
    ssize_t n;

    if (fd < 0)
        return -1;
    snprintf(to, sizeof to, "%u", generation);
    n = readlinkat(fd, current_name, before, sizeof before - 1);
    done = put_link(fd, to);
    error = errno;
    if (done == 0 && (done = fsync(fd)) < 0) {
        error = errno;
        before[n > 0 ? n : 0] = '\0';
        if (n > 0)
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
    int fd = open_ours(store, dir, false);
    char from[16], to[16 + sizeof bad_prefix];

    if (fd < 0)
        return;
    snprintf(from, sizeof from, "%u", generation);
    snprintf(to, sizeof to, "%s%u", bad_prefix, generation);
    if (renameat(fd, from, fd, to) < 0)
        remove_generation(fd, from);
    remove_all(fd, bad_prefix, to);
    fsync(fd);
    close(fd);
}

/* Puts a small file into a generation; one that exists stays. It gets its name when it is
 * complete. */
static int put_mark(const struct store *store, const char *dir, uint32_t generation,
                    const char *name, const char *text)
{
    int done = 0, error, fd = open_generation(store, dir, generation);
    struct stat st;

    if (fd < 0)
        return -1;
    unlinkat(fd, new_mark, 0); /* left by a crash */
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        done = store_write_file(fd, new_mark, text, strlen(text)) < 0 ||
                       renameat(fd, new_mark, fd, name) < 0
                   ? -1
                   : 0;
    error = errno;
    if (done < 0)
        unlinkat(fd, new_mark, 0);
    else if ((done = fsync(fd)) < 0)
        error = errno;
    close(fd);
    errno = error;
    return done;
}

/* "": there is none. */
static void read_mark(const struct store *store, const char *dir, uint32_t generation,
                      const char *name, char text[MARK_MAX])
{
    int fd = open_generation(store, dir, generation);
    int file = fd < 0 ? -1 : openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
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
    return put_mark(store, dir, generation, revoked_name, text);
}

unsigned store_marked_reason(const struct store *store, const char *dir, uint32_t generation)
{
    char text[MARK_MAX];
    unsigned reason = 0;

    read_mark(store, dir, generation, revoked_name, text);
    return sscanf(text, "reason=%9u", &reason) == 1 ? reason : 0;
}

int store_put_event(const struct store *store, const char *dir, uint32_t generation,
                    const char *event)
{
    char text[MARK_MAX];

    snprintf(text, sizeof text, "%s\n", event);
    return put_mark(store, dir, generation, event_name, text);
}

const char *store_event(const struct store *store, const char *dir, uint32_t generation)
{
    char text[MARK_MAX];

    read_mark(store, dir, generation, event_name, text);
    return strcmp(text, "issued\n") == 0    ? "issued"
           : strcmp(text, "renewed\n") == 0 ? "renewed"
                                            : NULL;
}

void store_drop_event(const struct store *store, const char *dir, uint32_t generation)
{
    int fd = open_generation(store, dir, generation);

    if (fd >= 0)
        unlinkat(fd, event_name, 0);
    fd_close(&fd);
}

uint64_t store_marked_revoked(const struct store *store, const char *dir, uint32_t generation)
{
    char path[CERT_DIR_SIZE + 32];
    struct stat st;

    snprintf(path, sizeof path, "%s/%u/%s", dir, generation, revoked_name);
    if (fstatat(store->certs_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec * 1000 : 1;
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
    remove_generation(dir_fd, name);
}

void store_prune(const struct store *store, const char *dir)
{
    uint32_t all[LISTED_MAX], keep[STORE_KEEP], current;
    int n, kept = 0, fd = open_ours(store, dir, false);

    if (fd < 0)
        return;
    n = list_in(fd, all);
    current = store_current(store, dir);
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
    return fsync(fd);
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

    dir_fd = open_ours(store, dir, true);
    if (dir_fd < 0 || fchmod(dir_fd, DIR_MODE) < 0)
        goto out;
    remove_all(dir_fd, new_prefix, "");
    generation = highest_in(dir_fd, above) + 1;
    snprintf(final, sizeof final, "%u", generation);
    snprintf(temporary, sizeof temporary, "%s%u-%d", new_prefix, generation, (int)getpid());
    fd = store_open_dir(dir_fd, temporary, true);
    renamed = fd >= 0 && write_generation(fd, pair, source, of) == 0 &&
              renameat(dir_fd, temporary, dir_fd, final) == 0;
    if (!renamed || fsync(dir_fd) < 0 || fsync(store->certs_fd) < 0) {
        error = errno;
        /* Back to its temporary name first, so that no half of it is ever found. */
        if (!renamed || renameat(dir_fd, final, dir_fd, temporary) == 0)
            remove_generation(dir_fd, temporary);
        else
            remove_generation(dir_fd, final);
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
