#include "base/mempool.h"

#include <stdlib.h>

#include "base/check.h"

struct mempool_block {
    struct mempool_block *next;
};

void mempool_init(struct mempool *pool, size_t size, uint32_t keep)
{
    CHECK(size >= sizeof(struct mempool_block));
    *pool = (struct mempool){.size = size, .keep = keep};
}

void mempool_release(struct mempool *pool)
{
    CHECK(pool->out == 0);
    while (pool->head) {
        struct mempool_block *block = pool->head;

        pool->head = block->next;
        free(block);
    }
    pool->idle = 0;
}

void *mempool_acquire(struct mempool *pool)
{
    struct mempool_block *block = pool->head;

    if (block) {
        pool->head = block->next;
        pool->idle--;
    } else if (!(block = malloc(pool->size))) {
        return NULL;
    }
    pool->out++;
    return block;
}

void mempool_return(struct mempool *pool, void *bytes)
{
    struct mempool_block *block = bytes;

    CHECK(pool->out > 0);
    pool->out--;
    if (pool->idle >= pool->keep) {
        free(block);
        return;
    }
    block->next = pool->head;
    pool->head = block;
    pool->idle++;
}
