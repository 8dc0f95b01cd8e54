#include "supervisor/watch.h"

#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Between two renames of an editor there may be no file: that is no change. */
static void look(struct watch *watch)
{
    struct stat now;

    if (stat(watch->file, &now) < 0 || same(&now, &watch->seen)) {
        loop_timer_set(watch->loop, &watch->timer, WATCH_POLL_MS);
        return;
    }
    if (!same(&now, &watch->last)) {
        watch->last = now;
        loop_timer_cancel(&watch->timer);
        loop_timer_set(watch->loop, &watch->timer, WATCH_SETTLE_MS);
        return;
    }
    loop_timer_set(watch->loop, &watch->timer, WATCH_POLL_MS);
    watch->seen = now;
    watch->changed(watch);
}

static void on_timer(struct loop_timer *timer)
{
    look((struct watch *)((char *)timer - offsetof(struct watch, timer)));
}

static void on_events(struct loop_source *source, uint32_t events)
{
    struct watch *watch = (struct watch *)((char *)source - offsetof(struct watch, events));
    char buffer[4096];

    (void)events;
    while (read(source->fd, buffer, sizeof buffer) > 0)
        ; /* which name it was does not matter: we look at ours */
    look(watch);
}

static void open_inotify(struct watch *watch)
{
    char copy[PATH_MAX];
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    if (fd < 0)
        return;
    snprintf(copy, sizeof copy, "%s", watch->file);
    if (inotify_add_watch(fd, dirname(copy),
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB) < 0 ||
        loop_add(watch->loop, &watch->events, fd, EPOLLIN) < 0)
        close(fd); /* the look every two seconds remains */
}

void watch_init(struct watch *watch, struct loop *loop, const char *file,
                void (*changed)(struct watch *))
{
    *watch = (struct watch){.loop = loop, .file = file, .changed = changed};
    watch->events = (struct loop_source){.ready = on_events, .fd = -1};
    watch->timer.fire = on_timer;
    watch_seen(watch);
}

void watch_seen(struct watch *watch)
{
    struct stat now;

    if (stat(watch->file, &now) == 0)
        watch->seen = watch->last = now;
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
