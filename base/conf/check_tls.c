/* conf/check_tls.c - TLS to backends: settings that belong together, and the files that they
 * name, which are read here: workers run as another user, in a sandbox, and a worker that is
 * started again must find what its generation began with. See conf/build.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/fd.h"

enum {
    PEM_MAX = 1 << 20,    /* bytes of one file; the CAs of a system are 220 KiB */
    PEM_TOTAL = 16 << 20, /* of all files: the arena has a limit */
};

static unsigned tls_line(const struct conf_build *b, const void *field, const void *other)
{
    unsigned line = conf_line_of_field(b, field);

    return line ? line : conf_line_of_field(b, other);
}

/* The bytes of a file, up to a NUL. -1 with errno; EFBIG: it is too long. */
static ssize_t read_bytes(int fd, char *to, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t part = read(fd, to + got, n - got);

        if (part < 0 && errno != EINTR)
            return -1;
        if (part == 0)
            break;
        got += part > 0 ? (size_t)part : 0;
    }
    to[got] = '\0';
    return (ssize_t)got;
}

/* Opens a file that is not too large; -1 with errno. */
static int open_pem(const char *path, size_t *n)
{
    int error, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= PEM_MAX) {
        *n = (size_t)st.st_size;
        return fd;
    }
    error = S_ISREG(st.st_mode) ? EFBIG : EISDIR;
    fd_close(&fd);
    errno = error;
    return -1;
}

static const char *read_pem(struct conf_build *b, struct conf_arena *arena, const char *path,
                            int *error)
{
    size_t n = 0;
    int fd = open_pem(path, &n);
    char *text;

    *error = 0;
    if (fd < 0) {
        *error = errno;
        return "";
    }
    b->pem_bytes += n;
    if (b->pem_bytes > PEM_TOTAL) {
        *error = ENOSPC;
        fd_close(&fd);
        return "";
    }
    text = conf_arena_alloc(arena, n + 1);
    if (read_bytes(fd, text, n) < 0)
        *error = errno;
    fd_close(&fd);
    return *error ? "" : text;
}

/* No error if this user may not look at the file: the service reads it as root, and says so. */
static void check_pem(struct conf_build *b, const char *const *field, const char *what,
                      const char *text, int error)
{
    const char *why = error == ENOENT || error == ENOTDIR ? "is not a file"
                      : error == EISDIR                   ? "is not a regular file"
                      : error == EFBIG                    ? "is longer than 1m"
                      : error == ENOSPC ? "makes all files of pools longer than 16m"
                      : error == 0 && !strstr(text, "-----BEGIN ") ? "is not a PEM file"
                                                                   : NULL;

    if (why)
        conf_errors_add(&b->report, conf_line_of_field(b, field),
                        "pools.tls.%s: %s %s; write the path of a PEM file", what, *field, why);
    else if (error && error != EACCES && error != EPERM)
        conf_errors_add(&b->report, conf_line_of_field(b, field),
                        "pools.tls.%s: cannot read %s: %s", what, *field, strerror(error));
}

/* Many pools may name the same file: it is kept once. */
static const char *text_of(struct conf_build *b, size_t pool, const char *const *field,
                           const char *what)
{
    const struct conf_pool *pools = b->conf->pools;
    const char *text;
    int error;

    for (size_t i = 0; i < pool; i++) {
        if (pools[i].tls.ca && strcmp(pools[i].tls.ca, *field) == 0)
            return pools[i].tls.ca_pem;
        if (pools[i].tls.certificate && strcmp(pools[i].tls.certificate, *field) == 0)
            return pools[i].tls.certificate_pem;
    }
    text = read_pem(b, b->arena, *field, &error);
    check_pem(b, field, what, text, error);
    return text;
}

static const char *key_of(struct conf_build *b, size_t pool, const char *const *field)
{
    const struct conf_pool *pools = b->conf->pools;
    const char *text;
    int error;

    for (size_t i = 0; i < pool; i++)
        if (pools[i].tls.key && strcmp(pools[i].tls.key, *field) == 0)
            return pools[i].tls.key_pem;
    text = read_pem(b, b->keys, *field, &error);
    check_pem(b, field, "key", text, error);
    return text;
}

static void check_together(struct conf_build *b, const struct conf_pool_tls *tls)
{
    const char *const set[] = {tls->ca, tls->name, tls->certificate, tls->key};
    const void *const fields[] = {&tls->ca, &tls->name, &tls->certificate, &tls->key};
    const char *const names[] = {"ca", "name", "certificate", "key"};

    for (size_t i = 0; i < sizeof set / sizeof *set && !tls->enabled; i++)
        if (*set[i]) {
            conf_errors_add(&b->report, conf_line_of_field(b, fields[i]),
                            "pools.tls.%s: has no effect without TLS; write enabled = true",
                            names[i]);
            return;
        }
    if (!*tls->certificate != !*tls->key)
        conf_errors_add(&b->report, tls_line(b, &tls->certificate, &tls->key),
                        "pools.tls: %s without %s; write both, or neither",
                        *tls->key ? "key" : "certificate", *tls->key ? "certificate" : "key");
    if (*tls->ca && !tls->verify)
        conf_errors_add(&b->report, conf_line_of_field(b, &tls->ca),
                        "pools.tls.ca: has no effect with verify = false; remove one of them");
}

void conf_check_tls(struct conf_build *b, size_t pool)
{
    struct conf_pool_tls *tls = &((struct conf_pool *)b->conf->pools)[pool].tls;
    const char **all[] = {&tls->ca, &tls->name, &tls->certificate, &tls->key};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!*all[i])
            *all[i] = "";
    tls->ca_pem = tls->certificate_pem = tls->key_pem = "";
    check_together(b, tls);
    if (*tls->ca)
        tls->ca_pem = text_of(b, pool, &tls->ca, "ca");
    if (*tls->certificate)
        tls->certificate_pem = text_of(b, pool, &tls->certificate, "certificate");
    if (*tls->key)
        tls->key_pem = key_of(b, pool, &tls->key);
}
