#include "supervisor/tickets.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/check.h"
#include "shm/message.h"

enum { CURRENT, PREVIOUS, NEXT }; /* the order of struct ticket_ring */

static void tickets_fill(struct ticket_key *key)
{
    /* After boot, getrandom() of at most 256 bytes neither fails nor returns less. */
    _Static_assert(sizeof *key <= 256, "one call fills a key");
    CHECK(getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key);
}

int tickets_init(struct ticket_ring **ring)
{
    struct ticket_ring *at =
        mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return -1;
    /* Only hints: it starts even if the kernel does not support one. */
    madvise(at, sizeof *at, MADV_WIPEONFORK);
    madvise(at, sizeof *at, MADV_DONTDUMP);
    mlock(at, sizeof *at);
    for (int i = 0; i < TICKET_KEYS; i++)
        tickets_fill(&at->key[i]);
    *ring = at;
    return 0;
}

void tickets_rotate(struct ticket_ring *ring)
{
    explicit_bzero(&ring->key[PREVIOUS], sizeof ring->key[PREVIOUS]);
    ring->key[PREVIOUS] = ring->key[CURRENT];
    ring->key[CURRENT] = ring->key[NEXT];
    tickets_fill(&ring->key[NEXT]);
}

void tickets_release(struct ticket_ring *ring)
{
    if (!ring)
        return;
    explicit_bzero(ring, sizeof *ring);
    munmap(ring, sizeof *ring);
}
