/* Notices that the configuration was changed, the file itself or one that it
 * includes: inotify on their folders (an editor replaces a file), and a look every
 * two seconds, because a file that Docker Desktop mounts from Windows or macOS
 * gives no events, and a folder may be missing.
 *
 * Supervisor only. */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/conf/conf.h"
#include "base/loop.h"

enum {
    WATCH_POLL_MS = 2000,
    WATCH_SETTLE_MS = 200, /* a file that is being written is left alone for so long */
};

struct watch_file {
    char *path;
    struct stat seen; /* as it was read */
    struct stat last; /* as of the last look */
};

struct watch {
    struct loop *loop;
    void (*changed)(struct watch *, const char *path);
    bool on;
    struct watch_file files[CONF_MAX_FILES];
    size_t n_files;
    struct loop_source events;
    struct loop_timer timer;
};

/* Ready to be switched on; `loop` outlives it. changed() may not call back. */
void watch_init(struct watch *watch, struct loop *loop,
                void (*changed)(struct watch *, const char *path));
void watch_release(struct watch *watch);

/* These were read (copied), so a file that is not as it was then has changed. None:
 * those of before stay. */
void watch_files(struct watch *watch, const struct conf_file *files, size_t n);

void watch_set(struct watch *watch, bool on);

#endif
