#include "supervisor/publish.h"

#include "base/fd.h"
#include "supervisor/supervise.h"

void publish_header(struct supervisor *sup)
{
    header_publish(&sup->table->header, &sup->header);
}

void publish_child(const struct process *p)
{
    struct child_row row = {.kind = (uint8_t)p->kind,
                            .state = p->fsm.state,
                            .slot = (uint16_t)p->slot,
                            .pid = p->pid,
                            .generation = p->generation ? p->generation->number : 0,
                            .restarts = p->restarts,
                            .incarnation = p->incarnation,
                            .started_wall_ms = p->started_wall_ms,
                            .next_start_ms = p->next_start_ms,
                            .last_exit = p->last_exit};

    child_publish(&p->sup->table->child[p->row], &row);
}

void publish_ring_workers(struct supervisor *sup)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (sup->process[r].pid)
            fd_ring(sup->heritage.doorbell[r]);
}
