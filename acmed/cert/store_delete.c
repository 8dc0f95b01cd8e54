#include "acmed/cert/store_delete.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    DEPTH = 3, /* .deleted-PID/GENERATION/FILE */
    DELETED_SIZE = 32,
};

static const char deleted_prefix[] = ".deleted-";
/* certs comes last, because it decides whether the certificate still exists. */
static const char *const kinds[] = {"orders", "certs"};

enum { KINDS = sizeof kinds / sizeof *kinds };

static int store_delete_open_dir(int at, const char *name)
{
    return openat(at, name,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC | (at == AT_FDCWD ? 0 : O_NOFOLLOW));
}

static int open_kind(const char *path, const char *kind)
{
    int root = store_delete_open_dir(AT_FDCWD, path);
    int fd = root < 0 ? -1 : store_delete_open_dir(root, kind);
    int error = errno;

    fd_close(&root);
    errno = error;
    return fd;
}

/* The stream starts at the beginning; NULL with errno. */
static DIR *store_delete_list(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        fd_close(&fd);
    return dir;
}

static bool store_delete_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes everything, also foreign files. A link is removed, but not its target. */
static int remove_tree(int at, const char *name, int depth)
{
    int fd = depth > 0 ? store_delete_open_dir(at, name) : -1;
    const struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : store_delete_list(fd);
    int rc = 0;

    if (fd < 0)
        return unlinkat(at, name, 0);
    while (dir && (entry = readdir(dir)) != NULL)
        if (!store_delete_is_dots(entry->d_name) &&
            remove_tree(fd, entry->d_name, depth - 1) < 0)
            rc = -1;
    if (dir)
        closedir(dir);
    close(fd);
    return rc < 0 ? -1 : unlinkat(at, name, AT_REMOVEDIR);
}

static void sweep_in(int fd)
{
    const struct dirent *entry;
    DIR *dir = store_delete_list(fd);

    while (dir && (entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, deleted_prefix, sizeof deleted_prefix - 1) == 0)
            remove_tree(fd, entry->d_name, DEPTH);
    if (dir)
        closedir(dir);
}

void store_sweep(const char *path)
{
    for (int i = 0; i < KINDS; i++) {
        int fd = open_kind(path, kinds[i]);

        if (fd >= 0)
            sweep_in(fd);
        fd_close(&fd);
    }
}

/* 1: renamed, and that is on disk; 0: there was none; -1 with errno. */
static int set_aside(int fd, const char *dir)
{
    char aside[DELETED_SIZE];

    snprintf(aside, sizeof aside, "%s%d", deleted_prefix, (int)getpid());
    if (renameat(fd, dir, fd, aside) < 0)
        return errno == ENOENT ? 0 : -1;
    return fd_sync_dir(fd) < 0 ? -1 : 1;
}

/* Returns as set_aside() does. */
static int delete_in(const char *path, const char *kind, const char *dir)
{
    int error, done, fd = open_kind(path, kind);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    sweep_in(fd);
    done = set_aside(fd, dir);
    error = errno;
    if (done > 0)
        sweep_in(fd);
    close(fd);
    errno = error;
    return done;
}

int store_delete(const char *path, const char *dir)
{
    int some = 0;

    for (int i = 0; i < KINDS; i++) {
        int done = delete_in(path, kinds[i], dir);

        if (done < 0)
            return -1;
        some |= done;
    }
    errno = ENOENT;
    return some ? 0 : -1;
}

bool store_is_dir(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/') &&
           strlen(name) < CERT_DIR_SIZE;
}

void store_each(const char *path, void (*see)(void *to, const char *dir), void *to)
{
    int fd = open_kind(path, "certs");
    const struct dirent *entry;
    DIR *dir = fd < 0 ? NULL : store_delete_list(fd);

    while (dir && (entry = readdir(dir)) != NULL)
        if (store_is_dir(entry->d_name))
            see(to, entry->d_name);
    if (dir)
        closedir(dir);
    fd_close(&fd);
}

static uint32_t count_in(int fd)
{
    const struct dirent *entry;
    DIR *dir = store_delete_list(fd);
    uint32_t n = 0;

    while (dir && (entry = readdir(dir)) != NULL)
        n += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
    if (dir)
        closedir(dir);
    return n;
}

bool store_knows(const char *path, const char *dir, uint32_t *generations)
{
    bool some = false;

    *generations = 0;
    for (int i = 0; i < KINDS; i++) {
        int above = open_kind(path, kinds[i]);
        int fd = above < 0 ? -1 : store_delete_open_dir(above, dir);

        some |= fd >= 0;
        if (fd >= 0 && strcmp(kinds[i], "certs") == 0)
            *generations = count_in(fd);
        fd_close(&fd);
        fd_close(&above);
    }
    return some;
}
