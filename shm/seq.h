/* Sequence counters: how a reader gets a whole row without a lock.
 *
 * The only writer makes the counter odd, changes the row and makes it even. A reader copies the
 * row between two reads of the counter and keeps the copy only if both were the same even
 * number. A writer that was killed half-way leaves it odd: readers then fail and keep their
 * last good copy, until the writer's successor publishes the row again. Cost: a reader may try
 * a few times; a writer never waits. */
#ifndef SHM_SEQ_H
#define SHM_SEQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SEQ_TRIES = 100 }; /* a write takes well under a microsecond */

struct seq {
    _Atomic uint32_t n;
};

static inline void seq_write_begin(struct seq *seq)
{
    uint32_t n = atomic_load_explicit(&seq->n, memory_order_relaxed);

    atomic_store_explicit(&seq->n, n | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static inline void seq_write_end(struct seq *seq)
{
    uint32_t n = atomic_load_explicit(&seq->n, memory_order_relaxed);

    atomic_store_explicit(&seq->n, (n | 1) + 1, memory_order_release);
}

/* Copies size bytes of the row to `to`. false: the row is half-written, and `to`
 * then holds nothing useful. */
static inline bool seq_read(const struct seq *seq, void *to, const void *row, size_t size)
{
    for (int i = 0; i < SEQ_TRIES; i++) {
        uint32_t before =
            atomic_load_explicit(&((struct seq *)(uintptr_t)seq)->n, memory_order_acquire);

        if (before & 1)
            continue;
        memcpy(to, row, size);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&((struct seq *)(uintptr_t)seq)->n, memory_order_relaxed) ==
            before)
            return true;
    }
    return false;
}

/* For a reader that keeps its copy: the same number as at its last whole copy means that
 * nothing was written since. To be taken before the copy. */
static inline uint32_t seq_number(const struct seq *seq)
{
    return atomic_load_explicit(&((struct seq *)(uintptr_t)seq)->n, memory_order_acquire);
}

#endif
