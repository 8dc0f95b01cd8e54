/* Fixed-size blocks on a free list: the request path allocates from these.
 * The block returned last is handed out first, because it is still in the cache.
 * Beyond `keep` idle blocks, blocks go back to the heap, so that memory use falls
 * with the load. One thread, one process. */
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

/* size: bytes of each block; keep: how many idle blocks are kept. */
void mempool_init(struct mempool *pool, size_t size, uint32_t keep);

/* Frees the idle blocks. All blocks must have been returned (CHECK). */
void mempool_release(struct mempool *pool);

/* A block, not zeroed; NULL when the host has no memory. */
void *mempool_acquire(struct mempool *pool);
/* The same, zeroed. */
void *mempool_acquire_zeroed(struct mempool *pool);
void mempool_return(struct mempool *pool, void *block);

#endif
