#include "base/loop.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

static void take_time(struct loop *loop)
{
    loop->now_us = clock_mono_us();
    loop->now_ms = loop->now_us / 1000;
}

int loop_init(struct loop *loop)
{
    memset(loop, 0, sizeof *loop);
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0)
        return -1;
    for (int i = 0; i < LOOP_WHEEL_SLOTS; i++)
        loop->wheel[i].prev = loop->wheel[i].next = &loop->wheel[i];
    take_time(loop);
    loop->slot = loop->now_ms >> LOOP_WHEEL_SHIFT;
    return 0;
}

void loop_release(struct loop *loop)
{
    close(loop->epfd);
    loop->epfd = -1;
}

int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -1;
    source->fd = fd;
    return 0;
}

int loop_mod(struct loop *loop, struct loop_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epfd, EPOLL_CTL_MOD, source->fd, &event);
}

static void drop_events(struct loop *loop, const struct loop_source *source)
{
    for (int i = loop->next; i < loop->nready; i++)
        if (loop->ready[i].data.ptr == source)
            loop->ready[i].data.ptr = NULL;
}

void loop_del(struct loop *loop, struct loop_source *source)
{
    if (source->fd < 0)
        return;
    drop_events(loop, source);
    epoll_ctl(loop->epfd, EPOLL_CTL_DEL, source->fd, NULL);
    source->fd = -1;
}

void loop_close(struct loop *loop, struct loop_source *source)
{
    if (source->fd < 0)
        return;
    drop_events(loop, source);
    close(source->fd);
    source->fd = -1;
}

static void unlink_timer(struct loop_timer *timer)
{
    timer->link.prev->next = timer->link.next;
    timer->link.next->prev = timer->link.prev;
    timer->link.prev = timer->link.next = NULL;
}

static void link_timer(struct loop *loop, struct loop_timer *timer)
{
    /* Rounded up, so that no timer fires early. A timer beyond the end of the wheel waits
     * in its last slot and is linked again from there. */
    uint64_t slot = (timer->due_ms >> LOOP_WHEEL_SHIFT) + 1;
    uint64_t last = loop->slot + LOOP_WHEEL_SLOTS - 1;

    if (slot > last)
        slot = last;
    if (slot < loop->slot)
        slot = loop->slot;
    size_t i = slot & (LOOP_WHEEL_SLOTS - 1);
    struct loop_link *head = &loop->wheel[i];

    timer->slot = slot;
    timer->link.prev = head->prev;
    timer->link.next = head;
    head->prev->next = &timer->link;
    head->prev = &timer->link;
    loop->busy[i / 64] |= UINT64_C(1) << (i % 64);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms)
{
    timer->due_ms = loop->now_ms + delay_ms;
    if (timer->link.next) {
        if (timer->slot <= (timer->due_ms >> LOOP_WHEEL_SHIFT) + 1)
            return;
        unlink_timer(timer);
    }
    link_timer(loop, timer);
}

void loop_timer_cancel(struct loop_timer *timer)
{
    if (timer->link.next)
        unlink_timer(timer);
}

static void serve_slot(struct loop *loop, size_t i)
{
    struct loop_link *head = &loop->wheel[i];
    struct loop_link list = {.prev = head->prev, .next = head->next};

    loop->busy[i / 64] &= ~(UINT64_C(1) << (i % 64));
    if (head->next == head)
        return;
    /* The slot's timers move to a local list, so that one that is armed again from a
     * callback is not served twice. */
    list.prev->next = list.next->prev = &list;
    head->prev = head->next = head;
    while (list.next != &list) {
        struct loop_timer *timer =
            (struct loop_timer *)((char *)list.next - offsetof(struct loop_timer, link));

        unlink_timer(timer);
        if (timer->due_ms > loop->now_ms)
            link_timer(loop, timer);
        else
            timer->fire(timer);
        loop_run_deferred(loop);
    }
}

static void serve_timers(struct loop *loop)
{
    uint64_t now_slot = loop->now_ms >> LOOP_WHEEL_SHIFT;

    /* After a long pause (a stopped process, for example) one turn of the wheel serves all. */
    if (now_slot - loop->slot >= LOOP_WHEEL_SLOTS && now_slot > loop->slot)
        loop->slot = now_slot - LOOP_WHEEL_SLOTS + 1;
    while (loop->slot <= now_slot) {
        size_t i = loop->slot & (LOOP_WHEEL_SLOTS - 1);

        loop->slot++;
        if (loop->busy[i / 64] & (UINT64_C(1) << (i % 64)))
            serve_slot(loop, i);
    }
}

/* Milliseconds until the first slot that may hold a timer, at most max. */
static int next_wait(const struct loop *loop, int max)
{
    uint64_t end = loop->slot + ((uint64_t)max >> LOOP_WHEEL_SHIFT) + 1;

    for (uint64_t slot = loop->slot; slot < end; slot++) {
        size_t i = slot & (LOOP_WHEEL_SLOTS - 1);

        if (!loop->busy[i / 64] && (slot & 63) == 0) {
            slot += 63;
            continue;
        }
        if (loop->busy[i / 64] & (UINT64_C(1) << (i % 64))) {
            uint64_t due = slot << LOOP_WHEEL_SHIFT;

            if (due <= loop->now_ms)
                return 0;
            return due - loop->now_ms < (uint64_t)max ? (int)(due - loop->now_ms) : max;
        }
    }
    return max;
}

void loop_once(struct loop *loop, int max_wait_ms)
{
    int n = epoll_wait(loop->epfd, loop->ready, LOOP_BATCH, next_wait(loop, max_wait_ms));

    CHECK(n >= 0 || errno == EINTR);
    take_time(loop);
    loop->turn++;
    loop->nready = n > 0 ? n : 0;
    for (loop->next = 0; loop->next < loop->nready;) {
        struct epoll_event *event = &loop->ready[loop->next++];
        struct loop_source *source = event->data.ptr;

        if (source)
            source->ready(source, event->events);
        loop_run_deferred(loop);
    }
    loop->nready = loop->next = 0;
    serve_timers(loop);
    log_flush_due(loop->now_ms);
}

void loop_run(struct loop *loop)
{
    while (!loop->stop)
        loop_once(loop, LOOP_IDLE_WAIT_MS);
}
