#include "supervisor/watch.h"

#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"

static bool watch_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Between two renames of an editor there may be no file: that is not a change. */
static bool watch_differs(struct watch_file *file, uint64_t now_ms)
{
    struct stat now;

    if (stat(file->path, &now) < 0)
        return false;
    if (!watch_same(&now, &file->last)) {
        file->last = now;
        file->settled_ms = now_ms + WATCH_SETTLE_MS;
    }
    return !watch_same(&now, &file->seen);
}

/* It may be called at any time: in a busy directory, much more often than files settle. */
static void watch_look(struct watch *watch)
{
    uint64_t now_ms = clock_mono_ms(), settled_ms = 0;
    const char *path = NULL;

    for (size_t i = 0; i < watch->n_files; i++) {
        struct watch_file *file = &watch->files[i];

        if (!watch_differs(file, now_ms))
            continue;
        if (!path)
            path = file->path;
        if (file->settled_ms > settled_ms)
            settled_ms = file->settled_ms;
    }
    if (settled_ms > now_ms) {
        loop_timer_set(watch->loop, &watch->timer, settled_ms - now_ms);
        return;
    }
    loop_timer_set(watch->loop, &watch->timer, WATCH_POLL_MS);
    if (!path)
        return;
    for (size_t i = 0; i < watch->n_files; i++) /* reported once, whatever becomes of it */
        watch->files[i].seen = watch->files[i].last;
    watch->changed(watch, path);
}

static void watch_on_timer(struct loop_timer *timer)
{
    watch_look(container_of(timer, struct watch, timer));
}

static void on_events(struct loop_source *source, uint32_t events)
{
    struct watch *watch = container_of(source, struct watch, events);
    char buffer[4096];

    (void)events;
    /* The name in the event does not matter: our files are checked. What is left in the queue
     * wakes us again. */
    for (int i = 0; i < WATCH_READS && read(source->fd, buffer, sizeof buffer) > 0; i++)
        ;
    watch_look(watch);
}

static void open_inotify(struct watch *watch)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0)
        return;
    for (size_t i = 0; i < watch->n_files; i++) {
        char copy[PATH_MAX];

        /* A directory that is added twice is one watch; one that cannot be watched is
         * polled. */
        snprintf(copy, sizeof copy, "%s", watch->files[i].path);
        inotify_add_watch(fd, dirname(copy),
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB);
    }
    if (loop_add(watch->loop, &watch->events, fd, EPOLLIN) < 0)
        close(fd);
}

void watch_init(struct watch *watch, struct loop *loop,
                void (*changed)(struct watch *, const char *path))
{
    *watch = (struct watch){.loop = loop, .changed = changed};
    watch->events = (struct loop_source){.ready = on_events, .fd = -1};
    watch->timer.fire = watch_on_timer;
}

static void forget_files(struct watch *watch)
{
    for (size_t i = 0; i < watch->n_files; i++)
        free(watch->files[i].path);
    watch->n_files = 0;
}

void watch_release(struct watch *watch)
{
    watch_set(watch, false);
    forget_files(watch);
}

void watch_files(struct watch *watch, const struct conf_file *files, size_t n)
{
    if (n == 0)
        return;
    forget_files(watch);
    for (size_t i = 0; i < n && i < CONF_MAX_FILES; i++) {
        struct watch_file *to = &watch->files[watch->n_files++];

        *to = (struct watch_file){
            .path = strdup(files[i].path), .seen = files[i].seen, .last = files[i].seen};
        CHECK(to->path);
    }
    if (!watch->on)
        return;
    /* Other files may mean other directories. A change from before they were watched is found
     * now. */
    loop_close(watch->loop, &watch->events);
    open_inotify(watch);
    loop_timer_set(watch->loop, &watch->timer, WATCH_SETTLE_MS);
}

void watch_set(struct watch *watch, bool on)
{
    if (on == watch->on)
        return;
    watch->on = on;
    if (!on) {
        loop_close(watch->loop, &watch->events);
        loop_timer_cancel(&watch->timer);
        return;
    }
    open_inotify(watch);
    loop_timer_set(watch->loop, &watch->timer, WATCH_POLL_MS);
}
