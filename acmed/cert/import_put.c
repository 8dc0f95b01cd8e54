#include "acmed/cert/import_put.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { NEW_MODE = 0600 };

/* One file on its way. */
struct put {
    const struct import_put_file *file;
    char to[PATH_MAX], new[PATH_MAX], old[PATH_MAX];
    bool kept;  /* `old` names what was there */
    bool first; /* there was none */
    bool moved; /* the new one has its name */
    bool stays; /* `old` could not be put back, and is not removed */
};

static void dir_of(const char *path, char dir[PATH_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(dir, PATH_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
}

static int sync_dir(const char *path)
{
    char dir[PATH_MAX];
    int rc, fd;

    dir_of(path, dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd < 0 ? -1 : fd_sync_dir(fd);
    fd_close(&fd);
    return rc;
}

/* ---- what a killed one left */

/* In a container each import may have the same pid: what has ours is not ours yet. */
static bool is_dead(const char *digits)
{
    char *end;
    long pid = strtol(digits, &end, 10);

    return *digits >= '1' && *digits <= '9' && !*end && pid <= INT_MAX &&
           ((pid_t)pid == getpid() || (kill((pid_t)pid, 0) < 0 && errno == ESRCH));
}

static bool is_leftover(const char *name, const char *base)
{
    size_t n = strlen(base);

    return strncmp(name, base, n) == 0 &&
           (strncmp(name + n, ".new-", 5) == 0 || strncmp(name + n, ".old-", 5) == 0) &&
           is_dead(name + n + 5);
}

static void remove_leftovers(const char *to)
{
    const char *slash = strrchr(to, '/'), *base = slash ? slash + 1 : to;
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    dir_of(to, path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL)
        if (is_leftover(entry->d_name, base))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

/* ---- one file */

static int put_begin(struct put *p, const struct import_put_file *file)
{
    char *real = realpath(file->path, NULL);
    const char *to = real ? real : file->path;
    int n, pid = (int)getpid();

    *p = (struct put){.file = file};
    snprintf(p->to, sizeof p->to, "%s", to);
    snprintf(p->new, sizeof p->new, "%s.new-%d", to, pid);
    n = snprintf(p->old, sizeof p->old, "%s.old-%d", to, pid);
    free(real);
    if (n >= (int)sizeof p->old) {
        p->new[0] = p->old[0] = '\0';
        errno = ENAMETOOLONG;
        return -1;
    }
    remove_leftovers(p->to);
    return 0;
}

/* Gives the new file the owner, group and mode of the one that it replaces; without one, only
 * this mode. -1 with errno. */
static int keep_access(int fd, const char *path, mode_t mode)
{
    struct stat old, new;

    if (stat(path, &old) < 0)
        return errno == ENOENT ? fchmod(fd, mode) : -1;
    if (fstat(fd, &new) < 0)
        return -1;
    if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
        fchown(fd, old.st_uid, old.st_gid) < 0)
        return -1;
    return fchmod(fd, old.st_mode & 0777);
}

static int put_write(const struct put *p)
{
    int fd = open(p->new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NEW_MODE);
    int error = 0;

    if (fd < 0)
        return -1;
    if (fd_write_all(fd, p->file->text, p->file->n) < 0 ||
        keep_access(fd, p->to, p->file->mode) < 0 || fsync(fd) < 0)
        error = errno;
    fd_close(&fd);
    errno = error;
    return error ? -1 : 0;
}

/* On a file system without hard links, or where we may not make one, what was there cannot be
 * put back. */
static int put_move(struct put *p)
{
    p->kept = link(p->to, p->old) == 0;
    p->first = !p->kept && errno == ENOENT;
    if (rename(p->new, p->to) < 0)
        return -1;
    p->moved = true;
    return sync_dir(p->to);
}

/* false: the new one stays, and what was there keeps its second name, because no other copy of
 * it may exist. */
static bool put_back(struct put *p)
{
    bool back = !p->moved || (p->kept && rename(p->old, p->to) == 0) ||
                (p->first && unlink(p->to) == 0);

    if (p->moved)
        sync_dir(p->to);
    p->stays = !back && p->kept;
    return back;
}

static void put_end(const struct put *p)
{
    if (*p->new && !p->moved)
        unlink(p->new);
    if (p->kept && !p->stays)
        unlink(p->old);
}

/* ---- all */

static int put_all(struct put put[IMPORT_PUT_FILES], const struct import_put_file *file,
                   const char **path)
{
    for (int i = 0; i < IMPORT_PUT_FILES; i++) {
        *path = file[i].path;
        if (put_begin(&put[i], &file[i]) < 0 || put_write(&put[i]) < 0)
            return -1;
    }
    for (int i = 0; i < IMPORT_PUT_FILES; i++) {
        *path = file[i].path;
        if (put_move(&put[i]) < 0)
            return -1;
    }
    return 0;
}

int import_put(const struct import_put_file file[IMPORT_PUT_FILES],
               struct import_put_failure *failure)
{
    struct put *put = calloc(IMPORT_PUT_FILES, sizeof *put);
    int rc, error;

    *failure = (struct import_put_failure){.path = file[0].path};
    if (!put)
        return -1;
    rc = put_all(put, file, &failure->path);
    error = errno;
    for (int i = IMPORT_PUT_FILES; rc < 0 && i-- > 0;) {
        failure->mixed |= !put_back(&put[i]);
        if (put[i].stays)
            snprintf(failure->kept[i], sizeof failure->kept[i], "%s", put[i].old);
    }
    for (int i = 0; i < IMPORT_PUT_FILES; i++)
        put_end(&put[i]);
    free(put);
    errno = error;
    return rc;
}
