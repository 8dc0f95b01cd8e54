/* Notices that the configuration file was changed: inotify on its folder (an
 * editor replaces the file), and a look every two seconds, because a file that
 * Docker Desktop mounts from Windows or macOS gives no events. */
#ifndef SUPERVISOR_WATCH_H
#define SUPERVISOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/loop.h"

enum {
    WATCH_POLL_MS = 2000,
    WATCH_SETTLE_MS = 200, /* a file that is being written is left alone for so long */
};

struct watch {
    struct loop *loop;
    const char *file;
    void (*changed)(struct watch *);
    bool on;
    struct stat seen; /* as of the last load */
    struct stat last; /* as of the last look */
    struct loop_source events;
    struct loop_timer timer;
};

/* Ready to be switched on; `file` and `loop` outlive it. */
void watch_init(struct watch *watch, struct loop *loop, const char *file,
                void (*changed)(struct watch *));

/* Switches; what the file is now counts as seen. */
void watch_set(struct watch *watch, bool on);

/* The file is about to be read: what it is now counts as seen. */
void watch_seen(struct watch *watch);

#endif
