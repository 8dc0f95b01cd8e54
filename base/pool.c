#include "base/pool.h"

#include <stdlib.h>

#include "base/check.h"

struct pool_block {
    struct pool_block *next;
};

void pool_init(struct pool *pool, size_t size, uint32_t keep)
{
    CHECK(size >= sizeof(struct pool_block));
    *pool = (struct pool){.size = size, .keep = keep};
}

void pool_release(struct pool *pool)
{
    CHECK(pool->out == 0);
    while (pool->head) {
        struct pool_block *block = pool->head;

        pool->head = block->next;
        free(block);
    }
    pool->idle = 0;
}

void *pool_take(struct pool *pool)
{
    struct pool_block *block = pool->head;

    if (block) {
        pool->head = block->next;
        pool->idle--;
    } else if (!(block = malloc(pool->size))) {
        return NULL;
    }
    pool->out++;
    return block;
}

void pool_give(struct pool *pool, void *bytes)
{
    struct pool_block *block = bytes;

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
