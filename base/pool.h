/* Fixed-size blocks on a free list: what the path of a request allocates from.
 * Blocks that come back are the next to go out, so they are warm in the cache;
 * beyond `keep` idle blocks they go back to the heap, so that memory follows
 * the load down again. One thread, one process. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pool_block;

struct pool {
    size_t size;
    uint32_t keep;
    uint32_t idle;
    uint32_t out;
    struct pool_block *head;
};

/* size: bytes of each block; keep: how many idle ones are held. */
void pool_init(struct pool *pool, size_t size, uint32_t keep);

/* Frees the idle blocks. All must be back: CHECK. */
void pool_release(struct pool *pool);

/* A block, not cleared; NULL when the host has no memory. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *block);

#endif
