/* conf/arena.c - a bump allocator on one mapping; see conf/arena.h. */
#include "base/conf/arena.h"

#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

struct conf_arena {
    size_t size; /* of the mapping, this header included */
    size_t used;
};

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

struct conf_arena *conf_arena_new(size_t bytes)
{
    struct conf_arena *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
        return NULL;
    (void)madvise(arena, bytes, MADV_DONTDUMP); /* a configuration may contain secrets */
    arena->size = bytes;
    arena->used = round_up(sizeof *arena, alignof(max_align_t));
    return arena;
}

void conf_arena_free(struct conf_arena *arena)
{
    if (arena)
        munmap(arena, arena->size);
}

void *conf_arena_alloc(struct conf_arena *arena, size_t n)
{
    CHECK(n <= arena->size - arena->used);
    void *p = (char *)arena + arena->used;
    arena->used = round_up(arena->used + n, alignof(max_align_t));
    return p;
}

const char *conf_arena_strdup(struct conf_arena *arena, const char *s)
{
    size_t n = strlen(s);
    if (n == 0)
        return "";
    return memcpy(conf_arena_alloc(arena, n + 1), s, n + 1);
}

void conf_arena_seal(struct conf_arena *arena)
{
    size_t keep = round_up(arena->used, (size_t)sysconf(_SC_PAGESIZE));
    if (keep < arena->size && munmap((char *)arena + keep, arena->size - keep) == 0)
        arena->size = keep;
    /* Only a safety net: where the host refuses, the tree is still usable. */
    (void)mprotect(arena, keep, PROT_READ);
}

void conf_arena_blank(struct conf_arena *arena)
{
    CHECK(mmap(arena, arena->size, PROT_READ,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == arena);
}

void conf_arena_keep_from_children(struct conf_arena *arena)
{
    (void)madvise(arena, arena->size, MADV_DONTFORK);
}
