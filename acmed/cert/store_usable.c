/* Whether the store can be used, and the words for it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/store.h"

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

bool store_unreadable(int error)
{
    switch (error) {
    case 0:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:  /* a link, which is not followed */
    case EINVAL: /* no link */
    case EFBIG:
        return false;
    default:
        return true;
    }
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
