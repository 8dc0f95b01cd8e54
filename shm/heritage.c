#include "shm/heritage.h"

#include "base/fd.h"

void heritage_ring_workers(const struct heritage *heritage)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(heritage->table, r))
            fd_ring(heritage->doorbell[r]);
}
