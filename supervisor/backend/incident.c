#include "supervisor/backend/incident.h"

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
#include "supervisor/state_dir.h"

#define SUBFOLDER "incidents"

enum {
    STAMP = sizeof "20261123T041200" - 1,
    TAIL = sizeof "-4294967295" - 1, /* the longest number */
    PRUNED_MAX = 64, /* in one call: bounds the work if others put directories there */
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

/* Our names begin with the time, so the smallest name is the oldest. */
static bool incident_is_ours(const char *name)
{
    return strlen(name) > STAMP && ascii_is_digit((unsigned char)name[0]) && name[8] == 'T';
}

/* A separate stream for reading the directory: closing it leaves `dir` open. */
static DIR *entries(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);

    if (!listing)
        fd_close(&fd);
    return listing;
}

/* Counts them and finds the oldest. */
static int incident_count(int dir, char oldest[NAME_MAX + 1])
{
    DIR *listing = entries(dir);
    int n = 0;

    for (const struct dirent *e; listing && (e = readdir(listing));) {
        if (!incident_is_ours(e->d_name))
            continue;
        if (n++ == 0 || strcmp(e->d_name, oldest) < 0)
            snprintf(oldest, NAME_MAX + 1, "%s", e->d_name);
    }
    if (listing)
        closedir(listing);
    return n;
}

/* Removes files only, because restarters write no subdirectories. */
static int incident_remove_one(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : entries(fd);

    for (const struct dirent *e; listing && (e = readdir(listing));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(fd, e->d_name, 0);
    if (listing)
        closedir(listing);
    fd_close(&fd);
    return unlinkat(dir, name, AT_REMOVEDIR);
}

static void prune(int dir)
{
    char oldest[NAME_MAX + 1];

    for (int i = 0; i < PRUNED_MAX && incident_count(dir, oldest) >= INCIDENTS_KEPT; i++)
        if (incident_remove_one(dir, oldest) < 0) {
            log_warn(SUBFOLDER "/%s cannot be removed: %s", oldest, strerror(errno));
            return;
        }
}

static int open_all(const char *state, const char *store, const struct identity *identity)
{
    int parent = state_dir_make(state, store, identity);

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

void incident_dir(char out[HERITAGE_DIR], const char *id, const char *store,
                  const struct identity *identity)
{
    char state[PATH_MAX];

    out[0] = '\0';
    if (!*store || !state_dir_name(state, store, identity))
        return;
    int dir = open_all(state, store, identity);
    if (dir >= 0)
        prune(dir);
    if (dir < 0 || (mkdirat(dir, id, 0700) < 0 && errno != EEXIST))
        log_warn("%s/" SUBFOLDER "/%s: no diagnostics are kept: %s", state, id,
                 strerror(errno));
    else if (snprintf(out, HERITAGE_DIR, "%s/" SUBFOLDER "/%s", state, id) >= HERITAGE_DIR)
        out[0] = '\0';
    fd_close(&dir);
}
