/* conf/check_users.c - reads the file of users of a route into the secrets; see conf/check.c
 * and conf/build.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/conf/users.h"
#include "base/fd.h"

enum { USERS_FAULTS = 10 }; /* that are reported of one file */

/* The file is opened without waiting: a FIFO in its place must not hold up a reload. */
static char *users_read(const char *path, size_t *n, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error;
    char *text = NULL;

    if (fd < 0)
        return NULL;
    errno = EINVAL;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        text = fd_read_all(fd, CONF_USERS_BYTES, n);
    error = errno;
    close(fd);
    errno = error;
    return text;
}

static const char *users_keep(struct conf_build *b, struct str s)
{
    char *to = conf_arena_alloc(b->secrets, s.n + 1);

    memcpy(to, s.p, s.n);
    return to;
}

static bool users_twice(const struct conf_basic *basic, struct str name)
{
    for (size_t i = 0; i < basic->n_users; i++)
        if (str_eq(str_from(basic->users[i].name), name))
            return true;
    return false;
}

static void users_parse(struct conf_build *b, struct conf_basic *basic, struct str text)
{
    unsigned line = conf_line_of_field(b, &basic->file), number = 0, faults = 0;
    struct conf_user *users;
    size_t lines = 1;

    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    if (lines > CONF_MAX_USERS)
        lines = CONF_MAX_USERS;
    basic->users = users = conf_arena_alloc(b->secrets, lines * sizeof *users);
    while (text.n && faults < USERS_FAULTS) {
        struct str one = str_head(text, str_index(text, '\n')), name, hash;
        const char *why = "";
        enum conf_users_line what = conf_users_line(one, &name, &hash, &why);

        text = str_skip(text, one.n + (one.n < text.n));
        number++;
        if (what == CONF_USERS_NONE)
            continue;
        if (what == CONF_USERS_USER && users_twice(basic, name)) {
            what = CONF_USERS_BAD;
            why = "names a user a second time; write each user once";
        }
        if (what == CONF_USERS_USER && basic->n_users == lines) {
            what = CONF_USERS_BAD;
            why = "is one user too many: 4096 are allowed; remove some";
            faults = USERS_FAULTS;
        }
        if (what == CONF_USERS_BAD) {
            conf_errors_add(&b->report, line, "routes.basic.file: %s:%u: %s", basic->file,
                            number, why);
            faults++;
            continue;
        }
        users[basic->n_users++] = (struct conf_user){users_keep(b, name), users_keep(b, hash)};
    }
    if (!basic->n_users && !faults)
        conf_errors_add(&b->report, line,
                        "routes.basic.file: %s has no user; add one with htpasswd -B",
                        basic->file);
}

static void check_realm(struct conf_build *b, const struct conf_basic *basic)
{
    for (const char *p = basic->realm; *p; p++)
        if (*p < ' ' || *p >= 0x7f || *p == '"' || *p == '\\') {
            conf_errors_add(&b->report, conf_line_of_field(b, &basic->realm),
                            "routes.basic.realm: has a character that browsers cannot be sent; "
                            "write printable ASCII without \" and \\");
            return;
        }
}

void conf_check_users(struct conf_build *b, struct conf_route *route)
{
    struct conf_basic *basic = &route->basic;
    unsigned line = conf_line_of_field(b, &basic->file);
    struct stat st;
    char *text;
    size_t n;

    if (!basic->file || !*basic->file)
        return;
    check_realm(b, basic);
    text = users_read(basic->file, &n, &st);
    if (!text) {
        conf_errors_add(&b->report, line, "routes.basic.file: cannot read %s: %s", basic->file,
                        errno == EINVAL  ? "it is not a regular file"
                        : errno == EFBIG ? "it is larger than 1 MiB"
                                         : strerror(errno));
        return;
    }
    if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        conf_warn(
            b, line,
            "routes.basic.file: %s can be %s by others (mode %03o); write mode 0640 or 0600",
            basic->file, st.st_mode & (S_IWOTH | S_IWGRP) ? "changed" : "read",
            (unsigned)st.st_mode & 0777);
    users_parse(b, basic, str_make(text, n));
    explicit_bzero(text, n);
    free(text);
}
