#include "shm/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* ---- what the table calls live */

static int by_row_name(const void *a, const void *b)
{
    return strcmp(((const struct stored_row *)a)->name, ((const struct stored_row *)b)->name);
}

void stored_live_read(const struct table *table, struct stored_live *live)
{
    uint32_t n = table_certs(table);
    struct cert_row row;

    *live = (struct stored_live){.v = calloc(n + 1, sizeof *live->v)};
    for (uint32_t i = 0; live->v && i < n; i++) {
        struct stored_row *to = &live->v[live->n];

        if (!cert_read(&table->cert[i], &row) || row.source < CERT_FILE || !row.generation)
            continue;
        snprintf(to->name, sizeof to->name, "%.*s", (int)sizeof row.name - 1, row.name);
        to->generation = row.generation;
        live->n++;
    }
    if (live->n)
        qsort(live->v, live->n, sizeof *live->v, by_row_name);
}

void stored_live_release(struct stored_live *live)
{
    free(live->v);
    *live = (struct stored_live){0};
}

enum { STORED_KEY_COMPROMISE = 1 /* RFC 5280, 5.3.1 */ };

/* ---- directories */

uint32_t stored_number(const char *name)
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

static const char current_name[] = "current";

/* Where the file system has no links, a file holds the number. Its length; -1 with errno. */
static ssize_t read_number(int certs_fd, const char *path, char *to, size_t n)
{
    int error, fd = openat(certs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, to, n);

    error = errno;
    fd_close(&fd);
    errno = error;
    return got > 0 && to[got - 1] == '\n' ? got - 1 : got;
}

uint32_t stored_current(int certs_fd, const char *dir)
{
    char path[CERT_DIR_SIZE + sizeof current_name], to[16];
    ssize_t n;

    snprintf(path, sizeof path, "%s/%s", dir, current_name);
    n = readlinkat(certs_fd, path, to, sizeof to - 1);
    if (n < 0 && errno == EINVAL)
        n = read_number(certs_fd, path, to, sizeof to - 1);
    if (n <= 0)
        return 0;
    to[n] = '\0';
    return stored_number(to);
}

static uint64_t linked_ns(int certs_fd, const char *dir)
{
    char path[CERT_DIR_SIZE + sizeof current_name];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", dir, current_name);
    if (fstatat(certs_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtim.tv_sec < 0)
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

static void stored_look_at(int certs_fd, const struct stored_live *live,
                           struct stored_folder *f)
{
    const struct stored_row *row = NULL;
    struct stored_row key = {0};

    snprintf(key.name, sizeof key.name, "%s", f->name);
    if (live->n)
        row = bsearch(&key, live->v, live->n, sizeof key, by_row_name);
    f->live = row != NULL;
    f->generation = row ? row->generation : stored_current(certs_fd, f->name);
    f->since_ns = linked_ns(certs_fd, f->name);
}

/* By name last, so that two searches never differ. */
static int stored_in_order(const void *a, const void *b)
{
    const struct stored_folder *x = a, *y = b;

    if (x->live != y->live)
        return x->live ? -1 : 1;
    if (x->since_ns != y->since_ns)
        return x->since_ns > y->since_ns ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int stored_add(struct stored *stored, size_t *room, const char *name)
{
    if (stored->n == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct stored_folder *v = realloc(stored->v, more * sizeof *v);

        if (!v)
            return -1;
        stored->v = v;
        *room = more;
    }
    stored->v[stored->n] = (struct stored_folder){.name = strdup(name)};
    return stored->v[stored->n].name ? (int)stored->n++ : -1;
}

int stored_read(int certs_fd, const struct stored_live *live, struct stored *stored)
{
    int fd = openat(certs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t room = 0;

    *stored = (struct stored){0};
    if (!dir) {
        fd_close(&fd);
        return -1;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= CERT_DIR_SIZE)
            continue;
        if (stored_add(stored, &room, entry->d_name) < 0)
            break; /* no memory: use what was read so far */
        stored_look_at(certs_fd, live, &stored->v[stored->n - 1]);
    }
    closedir(dir);
    if (stored->n)
        qsort(stored->v, stored->n, sizeof *stored->v, stored_in_order);
    for (; stored->n > STORED_LOOKS; stored->left_out++)
        free(stored->v[--stored->n].name);
    return 0;
}

void stored_release(struct stored *stored)
{
    for (size_t i = 0; i < stored->n; i++)
        free(stored->v[i].name);
    free(stored->v);
    *stored = (struct stored){0};
}

/* ---- names */

static bool matches(const char *name, const char *wanted)
{
    const char *dot = strchr(wanted, '.');

    if (strcasecmp(name, wanted) == 0)
        return true;
    return strncmp(name, "*.", 2) == 0 && dot && dot > wanted && wanted[0] != '*' &&
           strchr(dot + 1, '.') && strcasecmp(name + 1, dot) == 0;
}

bool stored_covers(const char *names, const char *const *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = names;

        while (*name && !matches(name, wanted[i]))
            name += strlen(name) + 1;
        if (!*name)
            return false;
    }
    return n > 0;
}

/* ---- revoked certificates */

bool stored_revoked(const char *list, const char *leaf, const char *key)
{
    for (const char *line = list; *line; line += strcspn(line, "\n")) {
        char of_leaf[65], of_key[65];
        unsigned reason;

        line += *line == '\n';
        if (sscanf(line, "%64[0-9a-f]=%64[0-9a-f] %*u %u", of_leaf, of_key, &reason) == 3 &&
            (strcmp(of_leaf, leaf) == 0 ||
             (reason == STORED_KEY_COMPROMISE && strcmp(of_key, key) == 0)))
            return true;
    }
    return false;
}
