#include "supervisor/incident.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "supervisor/state_folder.h"

#define SUBFOLDER "incidents"

enum {
    STAMP = sizeof "20261123T041200" - 1,
    TAIL = sizeof "-4294967295" - 1, /* the longest number */
    PRUNED_MAX = 64,                 /* at one time: a bound on what others put there */
};

void incident_id(char out[TABLE_INCIDENT], const char *name, unsigned number)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    char stamp[STAMP + 1];
    struct tm tm;

    gmtime_r(&now, &tm);
    if (strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &tm) == 0)
        stamp[0] = '\0'; /* after the year 9999 */
    snprintf(out, TABLE_INCIDENT, "%s-%.*s-%u", stamp, TABLE_INCIDENT - STAMP - TAIL - 2, name,
             number);
}

/* Ours begin with their time, so that the smallest name is the oldest. */
static bool is_ours(const char *name)
{
    return strlen(name) > STAMP && ascii_is_digit((unsigned char)name[0]) && name[8] == 'T';
}

/* A stream of its own for reading a folder; closing it leaves `folder` open. */
static DIR *entries(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        fd_close(&fd);
    return dir;
}

/* How many there are, and which is the oldest. */
static int count(int folder, char oldest[NAME_MAX + 1])
{
    DIR *dir = entries(folder);
    int n = 0;

    for (const struct dirent *e; dir && (e = readdir(dir));) {
        if (!is_ours(e->d_name))
            continue;
        if (n++ == 0 || strcmp(e->d_name, oldest) < 0)
            snprintf(oldest, NAME_MAX + 1, "%s", e->d_name);
    }
    if (dir)
        closedir(dir);
    return n;
}

/* Files only, as restarters write them: no folder below is entered. */
static int remove_one(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : entries(fd);

    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(fd, e->d_name, 0);
    if (dir)
        closedir(dir);
    fd_close(&fd);
    return unlinkat(folder, name, AT_REMOVEDIR);
}

static void prune(int folder)
{
    char oldest[NAME_MAX + 1];

    for (int i = 0; i < PRUNED_MAX && count(folder, oldest) >= INCIDENTS_KEPT; i++)
        if (remove_one(folder, oldest) < 0) {
            log_warn(SUBFOLDER "/%s cannot be removed: %s", oldest, strerror(errno));
            return;
        }
}

static int open_all(const char *state, const char *store, const struct identity *identity)
{
    int parent = state_folder_make(state, store, identity);

    if (parent < 0)
        return -1;
    int fd = -1;
    if (mkdirat(parent, SUBFOLDER, 0700) == 0 || errno == EEXIST)
        fd = openat(parent, SUBFOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(parent);
    errno = error;
    return fd;
}

void incident_folder(char out[HERITAGE_FOLDER], const char *id, const char *store,
                     const struct identity *identity)
{
    char state[PATH_MAX];

    out[0] = '\0';
    if (!*store || !state_folder_name(state, store, identity))
        return;
    int folder = open_all(state, store, identity);
    if (folder >= 0)
        prune(folder);
    if (folder < 0 || (mkdirat(folder, id, 0700) < 0 && errno != EEXIST))
        log_warn("%s/" SUBFOLDER "/%s: no evidence is kept: %s", state, id, strerror(errno));
    else if (snprintf(out, HERITAGE_FOLDER, "%s/" SUBFOLDER "/%s", state, id) >=
             HERITAGE_FOLDER)
        out[0] = '\0';
    fd_close(&folder);
}
