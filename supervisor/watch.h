/* Notices when the configuration changes, the file itself or an included one: inotify on their
 * directories (an editor replaces a file), and a poll every two seconds, because a file that
 * Docker Desktop mounts from Windows or macOS gives no events, and a directory may be missing.
 *
 * Supervisor only. */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/conf/conf.h"
#include "base/loop.h"

enum {
    WATCH_POLL_MS = 2000,
    WATCH_SETTLE_MS = 200, /* a change is reported when all files are unchanged for so long */
    WATCH_READS = 16,      /* of events of a busy directory; then others have their turn */
};

struct watch_file {
    char *path;
    struct stat seen;    /* when it was read */
    struct stat last;    /* at the last look */
    uint64_t settled_ms; /* when `last` has been unchanged for long enough, monotonic */
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

/* Prepares it; not switched on yet. `loop` must outlive it. changed() must not call watch
 * functions. */
void watch_init(struct watch *watch, struct loop *loop,
                void (*changed)(struct watch *, const char *path));
void watch_release(struct watch *watch);

/* Sets the files to watch (copied), with their state when they were read: a file that differs
 * from that has changed. n = 0: the previous files stay. */
void watch_files(struct watch *watch, const struct conf_file *files, size_t n);

void watch_set(struct watch *watch, bool on);

#endif
