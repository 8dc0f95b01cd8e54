/* Lending: the sockets of a worker that does not serve are served by another worker of the same
 * generation, which is sent copies of them.
 *
 * The sockets of a slot get their share of new connections whether or not its worker lives.
 * While that worker starts again, waits for its next start, is held, or hangs, these
 * connections would wait for it; so its sockets are lent until it serves again. When no worker
 * is left at all, the next start is brought forward. */
#include "base/clock.h"
#include "base/log.h"
#include "shm/message.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

static bool lend_serves(const struct process *p, uint64_t now)
{
    return p->pid && p->fsm.state == CHILD_RUNNING && process_is_alive(p, now, LEND_LATE_MS);
}

/* A worker of the current generation that should serve: not one that drains. */
static bool lend_is_wanted(const struct process *p)
{
    return process_is_worker(p) && p->generation && p->generation == p->sup->current &&
           p->fsm.state != CHILD_EMPTY && p->fsm.state != CHILD_DRAINING;
}

static bool is_lent(const struct process *p)
{
    const struct process *to = p->lent_to;

    return to && to->pid && to->incarnation == p->lent_incarnation &&
           to->fsm.state != CHILD_DRAINING;
}

/* The worker that will also serve the sockets of p: the serving one with the nearest following
 * slot. */
static struct process *find_borrower(struct process *p, uint64_t now)
{
    struct process *best = NULL;
    uint32_t workers = p->generation->workers, nearest = workers;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        struct process *other = &p->sup->process[r];
        uint32_t away;

        if (other == p || !lend_is_wanted(other) || !lend_serves(other, now))
            continue;
        away = ((uint32_t)(other->slot - p->slot) + workers) % workers;
        if (away < nearest || !best) {
            nearest = away;
            best = other;
        }
    }
    return best;
}

static void take_back(struct process *p)
{
    struct message message = {.type = MESSAGE_UNSERVE, .which = (uint32_t)p->slot};

    if (is_lent(p))
        process_send(p->lent_to, &message, -1);
    p->lent_to = NULL;
}

static void lend(struct process *p, uint64_t now)
{
    struct heritage_listener socket[HERITAGE_LISTENERS];
    struct process *to = find_borrower(p, now);
    struct message message = {.type = MESSAGE_SERVE, .which = (uint32_t)p->slot};
    uint32_t n = listeners_of_slot(&p->generation->listeners, (uint32_t)p->slot,
                                   p->generation->workers, socket);

    if (!to)
        return;
    p->lent_to = to;
    p->lent_incarnation = to->incarnation;
    for (uint32_t i = 0; i < n; i++) {
        message.number = socket[i].index;
        if (process_send(to, &message, socket[i].fd) < 0) {
            take_back(p); /* the next heartbeat tries all of them again */
            return;
        }
    }
    log_debug("worker %d also serves the sockets of worker %d", to->slot, p->slot);
}

/* If no worker runs or starts, the one in BACKOFF whose turn comes first need not wait as
 * long. */
static void hasten(struct supervisor *sup, uint64_t now)
{
    struct process *first = NULL;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        struct process *p = &sup->process[r];

        if (!lend_is_wanted(p))
            continue;
        if (p->fsm.state == CHILD_RUNNING || p->fsm.state == CHILD_STARTING)
            return;
        if (p->fsm.state == CHILD_BACKOFF &&
            (!first || p->next_start_ms < first->next_start_ms))
            first = p;
    }
    if (!first || first->next_start_ms <= now + CHILD_FSM_DELAY_LAST_MS)
        return;
    first->next_start_ms = now + CHILD_FSM_DELAY_LAST_MS;
    loop_timer_set(&sup->loop, &first->timer, CHILD_FSM_DELAY_LAST_MS);
    publish_child(first);
}

void lend_sockets(struct supervisor *sup)
{
    uint64_t now = clock_mono_ms();

    if (sup->stopping)
        return;
    for (int r = 0; r < TABLE_WORKERS; r++) {
        struct process *p = &sup->process[r];
        /* Never ready yet, and no crash so far: it will serve in a moment. */
        bool fresh = p->fsm.state == CHILD_STARTING && p->fsm.deaths == 0;

        if (!lend_is_wanted(p) || fresh)
            continue;
        if (lend_serves(p, now))
            take_back(p);
        else if (!is_lent(p))
            lend(p, now);
    }
    hasten(sup, now);
}

/* Sockets that only workers of a failed trial would have served: a worker accepts the
 * connections that wait there, then they are closed. */
void lend_surplus(struct supervisor *sup)
{
    const struct listener_set *set = &sup->current->listeners;
    struct message message = {.type = MESSAGE_SERVE, .value = 1};
    uint64_t now = clock_mono_ms();
    struct process *to = NULL;

    for (int r = 0; r < TABLE_WORKERS && !to; r++)
        if (lend_is_wanted(&sup->process[r]) && lend_serves(&sup->process[r], now))
            to = &sup->process[r];
    for (uint32_t i = 0; to && i < set->n; i++) {
        message.number = i;
        for (uint32_t at = set->sockets[i]; at < set->v[i]->n; at++)
            process_send(to, &message, set->v[i]->fd[at]);
    }
    listeners_trim(&sup->current->listeners);
}
