/* Fixed-size blocks on a free list: what the path of a request allocates from.
 * Blocks that come back are the next to go out, so they are warm in the cache;
 * beyond `keep` idle blocks they go back to the heap, so that memory follows
 * the load down again. One thread, one process. */
#ifndef BASE_MEMPOOL_H
#define BASE_MEMPOOL_H

#include <stddef.h>
#include <stdint.h>

struct mempool_block;

struct mempool {
    size_t size;
    uint32_t keep;
    uint32_t idle;
    uint32_t out;
    struct mempool_block *head;
};

/* size: bytes of each block; keep: how many idle ones are held. */
void mempool_init(struct mempool *pool, size_t size, uint32_t keep);

/* Frees the idle blocks. All must be back: CHECK. */
void mempool_release(struct mempool *pool);

/* A block, not cleared; NULL when the host has no memory. */
void *mempool_acquire(struct mempool *pool);
void mempool_return(struct mempool *pool, void *block);

#endif
