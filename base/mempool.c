#include "base/mempool.h"

#include <stdlib.h>
#include <string.h>

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

void *mempool_acquire_zeroed(struct mempool *pool)
{
    void *block = mempool_acquire(pool);

    /* Of a size that the compiler does not know: for one that it knows, some compilers write
     * the zeros word by word, which takes several times as long as the C library's function. */
    if (block)
        memset(block, 0, pool->size);
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
