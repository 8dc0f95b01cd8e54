/* The event loop: epoll, edge-triggered, and a timer wheel. One thread.
 *
 * A source belongs to its owner (it is embedded in a connection); the loop
 * never frees one. loop_del() also drops the source's events that are still
 * pending in the current batch, so that an owner may free itself, or another
 * owner, from any callback.
 *
 * Timers are lazy: moving a deadline further away is one store. When its old slot
 * is served, the timer is moved to its new one.
 *
 * Deferred work: what must not happen inside an event, because it would call back into what
 * that event is at work on. loop_defer() says that there is some; it is done right after the
 * event.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

enum {
    LOOP_BATCH = 256,         /* events per epoll_wait() */
    LOOP_WHEEL_SLOTS = 4096,  /* a power of two */
    LOOP_WHEEL_SHIFT = 4,     /* one slot is 16 ms: the resolution of timers */
    LOOP_IDLE_WAIT_MS = 1000, /* longest sleep, so that heartbeats continue */
};

struct loop_source {
    void (*ready)(struct loop_source *, uint32_t events);
    int fd; /* -1: not in the loop */
};

struct loop_link {
    struct loop_link *prev, *next;
};

struct loop_timer {
    struct loop_link link; /* in a slot of the wheel; link.next NULL: not armed */
    uint64_t due_ms;       /* when to fire */
    uint64_t slot;         /* its slot in the wheel, absolute */
    void (*fire)(struct loop_timer *);
};

struct loop {
    int epfd;
    bool stop;       /* loop_run() returns after this round */
    bool deferred;   /* loop_defer() was called since run_deferred was */
    uint64_t now_us; /* read once per round, monotonic */
    uint64_t now_ms;
    uint64_t turn; /* rounds so far, the first is 1 */
    /* Does all the deferred work that there is. Set by the loop's owner before the first
     * loop_defer(); it may call that itself, and is then called again. */
    void (*run_deferred)(struct loop *);
    uint64_t slot;    /* next slot of the wheel to serve */
    int nready, next; /* the batch that is being served */
    struct epoll_event ready[LOOP_BATCH];
    uint64_t busy[LOOP_WHEEL_SLOTS / 64]; /* bit set: the slot may hold timers */
    struct loop_link wheel[LOOP_WHEEL_SLOTS];
};

/* 0, or -1 with errno. loop_release() closes only the epoll descriptor. */
int loop_init(struct loop *loop);
void loop_release(struct loop *loop);

/* Watches fd for `events` (EPOLLIN | EPOLLOUT | EPOLLET ...). The caller sets
 * source->ready before. 0, or -1 with errno (ENOSPC, ENOMEM: limits of the host). */
int loop_add(struct loop *loop, struct loop_source *source, int fd, uint32_t events);
int loop_mod(struct loop *loop, struct loop_source *source, uint32_t events);

/* Stops watching; the descriptor stays open. Does nothing if fd is -1. */
void loop_del(struct loop *loop, struct loop_source *source);

/* Stops watching and closes the descriptor: the kernel then removes it from the
 * epoll set, which saves a call. The descriptor must not have been dup()ed. */
void loop_close(struct loop *loop, struct loop_source *source);

/* Serve events and timers once, waiting at most max_wait_ms; or until loop->stop. Deferred work
 * is done after each event and each timer. */
void loop_once(struct loop *loop, int max_wait_ms);
void loop_run(struct loop *loop);

/* There is deferred work. From inside an event or a timer, it is done after that; from outside
 * of loop_once(), the caller calls loop_run_deferred() itself, when nothing else runs. */
static inline void loop_defer(struct loop *loop)
{
    loop->deferred = true;
}

static inline void loop_run_deferred(struct loop *loop)
{
    while (loop->deferred) {
        loop->deferred = false;
        loop->run_deferred(loop);
    }
}

/* Arms or moves a timer to loop->now_ms + delay_ms. The caller sets timer->fire
 * before; that callback may arm the timer again, or free its owner. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_cancel(struct loop_timer *timer);

static inline bool loop_timer_armed(const struct loop_timer *timer)
{
    return timer->link.next != 0;
}

#endif
