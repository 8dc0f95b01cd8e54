#include "acmed/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/secret.h"
#include "base/fd.h"

enum {
    FOLDER_MODE = 0750,
    FILE_MODE = 0640,
    META_MAX = 64,     /* bytes of "meta" */
    NEW_NAME = 48,     /* ".new-GENERATION-PID" */
    LISTED_MAX = 1024, /* generations that are looked at; normally there are 3 */
};

static const char chain_name[] = "fullchain.pem";
static const char key_name[] = "key.pem";
static const char meta_name[] = "meta";
static const char revoked_name[] = "revoked";
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

/* ---- folders */

/* Makes a folder unless it is there, and opens it. */
static int open_folder(int at, const char *name, bool make)
{
    int fd;

    if (make && mkdirat(at, name, FOLDER_MODE) < 0 && errno != EEXIST)
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
        fd = open_folder(AT_FDCWD, path, true);
        if (fd < 0)
            return -1;
        store->certs_fd = open_folder(fd, "certs", true);
        error = errno;
        if (store->certs_fd >= 0)
            fsync(fd); /* a new one lasts; a disk that cannot says so at the next write */
        close(fd);
        errno = error;
    }
    if (store->certs_fd < 0)
        return -1;
    /* A file system without locks has none. */
    store->ours =
        store->ours || flock(store->certs_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    errno = EBUSY;
    return store->ours ? 0 : -1;
}

const char *store_says(int error)
{
    return error == EBUSY ? "another pasgate uses it" : strerror(error);
}

void store_release(struct store *store)
{
    fd_close(&store->certs_fd);
    store->ours = false;
}

/* For writing; -1 with errno, EBUSY when it is not ours. */
static int open_ours(const struct store *store, const char *folder, bool make)
{
    if (store->ours)
        return open_folder(store->certs_fd, folder, make);
    errno = EBUSY;
    return -1;
}

/* The number that a folder's name is, or 0: "7", but not "07" and not "7x". */
static uint32_t generation_of(const char *name)
{
    uint64_t n = 0;

    if (name[0] < '1' || name[0] > '9')
        return 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9')
            return 0;
        n = n * 10 + (uint64_t)(*name - '0');
        if (n > UINT32_MAX)
            return 0;
    }
    return (uint32_t)n;
}

static int newest_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Generations in an open folder, newest first. */
static int list_in(int folder_fd, uint32_t *out)
{
    int n = 0, fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        fd_close(&fd);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL && n < LISTED_MAX) {
        uint32_t generation = generation_of(entry->d_name);

        if (generation)
            out[n++] = generation;
    }
    closedir(dir);
    qsort(out, (size_t)n, sizeof *out, newest_first);
    return n;
}

/* The highest number that was ever used here, as far as the folder tells. */
static uint32_t highest_in(int folder_fd, uint32_t above)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    uint32_t highest = above;

    if (!dir) {
        fd_close(&fd);
        return highest;
    }
    while ((entry = readdir(dir)) != NULL) {
        bool bad = strncmp(entry->d_name, bad_prefix, sizeof bad_prefix - 1) == 0;
        uint32_t n = generation_of(entry->d_name + (bad ? sizeof bad_prefix - 1 : 0));

        if (n > highest)
            highest = n;
    }
    closedir(dir);
    return highest;
}

int store_list(const struct store *store, const char *folder, uint32_t *out, int max)
{
    uint32_t all[LISTED_MAX];
    int n, fd = open_folder(store->certs_fd, folder, false);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    n = list_in(fd, all);
    close(fd);
    for (int i = 0; i < n && i < max; i++)
        out[i] = all[i];
    return n < max ? n : max;
}

/* ---- reading */

static int read_file(int at, const char *name, char **text, size_t *n)
{
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    *text = secret_read(fd, STORE_PEM_MAX, n);
    close(fd);
    return *text ? 0 : -1;
}

static enum cert_source read_source(int at)
{
    char meta[META_MAX + 1], want[META_MAX];
    int fd = openat(at, meta_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, meta, META_MAX);

    fd_close(&fd);
    if (n < 0)
        return CERT_NONE;
    meta[n] = '\0';
    for (size_t s = CERT_SELF_SIGNED; s < sizeof source_names / sizeof *source_names; s++) {
        snprintf(want, sizeof want, "source=%s\n", source_names[s]);
        if (strcmp(meta, want) == 0)
            return (enum cert_source)s;
    }
    return CERT_NONE;
}

static int open_generation(const struct store *store, const char *folder, uint32_t generation)
{
    char path[CERT_FOLDER_SIZE + 16];

    snprintf(path, sizeof path, "%s/%u", folder, generation);
    return open_folder(store->certs_fd, path, false);
}

int store_read(const struct store *store, const char *folder, uint32_t generation,
               struct pem_pair *pair, enum cert_source *source)
{
    int error, done = -1, fd = open_generation(store, folder, generation);

    *pair = (struct pem_pair){0};
    if (fd < 0)
        return -1;
    if (read_file(fd, chain_name, &pair->chain, &pair->n_chain) == 0 &&
        read_file(fd, key_name, &pair->key, &pair->n_key) == 0) {
        *source = read_source(fd);
        done = 0;
    }
    error = errno;
    close(fd);
    if (done < 0)
        pem_pair_release(pair);
    errno = error;
    return done;
}

/* ---- removing */

static void remove_generation(int folder_fd, const char *name)
{
    static const char *const files[] = {chain_name, key_name, meta_name, revoked_name};
    int fd = open_folder(folder_fd, name, false);

    if (fd < 0)
        return;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(fd, files[i], 0);
    close(fd);
    unlinkat(folder_fd, name, AT_REMOVEDIR);
}

/* What a crash left half-written, and what else begins so. */
static void remove_all(int folder_fd, const char *prefix, const char *but)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir) {
        fd_close(&fd);
        return;
    }
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            strcmp(entry->d_name, but) != 0)
            remove_generation(folder_fd, entry->d_name);
    closedir(dir);
}

/* ---- which one is live */

static int write_file(int at, const char *name, const char *text, size_t n)
{
    int error, done = -1;
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

    if (fd < 0)
        return -1;
    /* fchmod: the modes are these, whatever umask we inherited. */
    if (fchmod(fd, FILE_MODE) == 0 && fd_write_all(fd, text, n) == 0 && fsync(fd) == 0)
        done = 0;
    error = errno;
    close(fd);
    errno = error;
    return done;
}

uint32_t store_current(const struct store *store, const char *folder)
{
    char path[CERT_FOLDER_SIZE + sizeof current_name], to[16];
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", folder, current_name);
    n = readlinkat(store->certs_fd, path, to, sizeof to - 1);
    if (n <= 0)
        return 0;
    to[n] = '\0';
    return generation_of(to);
}

int store_set_current(const struct store *store, const char *folder, uint32_t generation)
{
    int error, done = -1, fd = open_ours(store, folder, false);
    char to[16];

    if (fd < 0)
        return -1;
    snprintf(to, sizeof to, "%u", generation);
    unlinkat(fd, new_current, 0);
    if (symlinkat(to, fd, new_current) == 0 &&
        renameat(fd, new_current, fd, current_name) == 0 && fsync(fd) == 0)
        done = 0;
    error = errno;
    if (done < 0)
        unlinkat(fd, new_current, 0);
    close(fd);
    errno = error;
    return done;
}

void store_reject(const struct store *store, const char *folder, uint32_t generation)
{
    int fd = open_ours(store, folder, false);
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

int store_mark_revoked(const struct store *store, const char *folder, uint32_t generation)
{
    int done, error, fd = open_generation(store, folder, generation);

    if (fd < 0)
        return -1;
    done = write_file(fd, revoked_name, "", 0);
    if (done < 0 && errno == EEXIST)
        done = 0;
    if (done == 0)
        done = fsync(fd);
    error = errno;
    close(fd);
    errno = error;
    return done;
}

bool store_revoked(const struct store *store, const char *folder, uint32_t generation)
{
    char path[CERT_FOLDER_SIZE + 32];

    snprintf(path, sizeof path, "%s/%u/%s", folder, generation, revoked_name);
    return faccessat(store->certs_fd, path, F_OK, 0) == 0;
}

void store_prune(const struct store *store, const char *folder)
{
    uint32_t all[LISTED_MAX];
    int n, fd = open_ours(store, folder, false);

    if (fd < 0)
        return;
    n = list_in(fd, all);
    for (int i = STORE_KEEP; i < n; i++) {
        char name[16];

        snprintf(name, sizeof name, "%u", all[i]);
        remove_generation(fd, name);
    }
    close(fd);
}

/* ---- writing */

static int write_generation(int fd, const struct pem_pair *pair, enum cert_source source)
{
    char meta[META_MAX];
    int n = snprintf(meta, sizeof meta, "source=%s\n", source_names[source]);

    if (fchmod(fd, FOLDER_MODE) < 0 ||
        write_file(fd, chain_name, pair->chain, pair->n_chain) < 0 ||
        write_file(fd, key_name, pair->key, pair->n_key) < 0 ||
        write_file(fd, meta_name, meta, (size_t)n) < 0)
        return -1;
    return fsync(fd);
}

uint32_t store_write(const struct store *store, const char *folder, uint32_t above,
                     const struct pem_pair *pair, enum cert_source source)
{
    uint32_t generation = 0;
    char temporary[NEW_NAME], final[16];
    int error, folder_fd = -1, fd = -1;

    folder_fd = open_ours(store, folder, true);
    if (folder_fd < 0 || fchmod(folder_fd, FOLDER_MODE) < 0)
        goto out;
    remove_all(folder_fd, new_prefix, "");
    generation = highest_in(folder_fd, above) + 1;
    snprintf(final, sizeof final, "%u", generation);
    snprintf(temporary, sizeof temporary, "%s%u-%d", new_prefix, generation, (int)getpid());
    fd = open_folder(folder_fd, temporary, true);
    if (fd < 0 || write_generation(fd, pair, source) < 0 ||
        renameat(folder_fd, temporary, folder_fd, final) < 0 || fsync(folder_fd) < 0 ||
        fsync(store->certs_fd) < 0) {
        error = errno;
        remove_generation(folder_fd, temporary);
        errno = error;
        generation = 0;
    }
out:
    error = errno;
    fd_close(&fd);
    fd_close(&folder_fd);
    errno = error;
    return generation;
}
