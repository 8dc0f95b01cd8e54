/* The rows of children: carries out what child_fsm.c decides, and publishes it. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/counters.h"
#include "shm/message.h"
#include "supervisor/errors.h"
#include "supervisor/launch.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

enum { LAST_WORDS = 64 /* messages that are read after the end of a restarter */ };

bool process_is_worker(const struct process *p)
{
    return p->kind == KIND_WORKER;
}

const char *process_describe(const struct process *p, char out[PROCESS_NAME])
{
    if (process_is_worker(p))
        snprintf(out, PROCESS_NAME, "worker %d (generation %u, pid %d)", p->slot,
                 p->generation ? p->generation->number : 0, (int)p->pid);
    else
        snprintf(out, PROCESS_NAME, "%s (pid %d)", kind_name(p->kind), (int)p->pid);
    return out;
}

int process_send(struct process *p, const struct message *message, int fd)
{
    static struct log_gate gate;
    char who[PROCESS_NAME];

    if (p->control.fd >= 0 && message_send(p->control.fd, message, fd) == 0)
        return 0;
    int error = errno;
    /* EPIPE: it has ended, SIGCHLD follows. */
    if (p->control.fd >= 0 && error != EPIPE && log_gate_open(&gate))
        log_warn("%s does not accept message %u: %s", process_describe(p, who), message->type,
                 strerror(error));
    return -1;
}

void processes_send_workers(struct supervisor *sup, const struct message *message)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        process_send(&sup->process[r], message, -1);
}

void process_send_tickets(struct process *p)
{
    struct message message = {.type = MESSAGE_TICKETS};

    memcpy(&message.body.tickets, p->sup->tickets, sizeof message.body.tickets);
    process_send(p, &message, -1);
    explicit_bzero(&message, sizeof message);
}

static uint64_t heartbeat_of(const struct process *p)
{
    const struct table *table = p->sup->table;

    switch (p->kind) {
    case KIND_WORKER:
        return count_read(&table->worker[p->row].heartbeat_ms);
    case KIND_HEALTHD:
        return count_read(&table->healthd_heartbeat_ms);
    default:
        return count_read(&table->acmed_heartbeat_ms);
    }
}

/* A heartbeat from the row's earlier process does not count: each process gets its full time
 * from its fork and from the moment it was ready. A heartbeat in the future counts as one of
 * now; a child that lies about it gains nothing except that its own hang goes unnoticed. */
bool process_is_alive(const struct process *p, uint64_t now, uint64_t limit_ms)
{
    uint64_t last = heartbeat_of(p);

    if (last < p->fsm.ready_ms)
        last = p->fsm.ready_ms;
    if (last < p->fsm.since_ms)
        last = p->fsm.since_ms;
    if (last < p->sup->grace_until_ms)
        last = p->sup->grace_until_ms;
    return last >= now || now - last < limit_ms;
}

/* Is there no other worker that serves or starts instead of this one? */
static bool process_is_last(const struct process *p)
{
    for (int r = 0; r < TABLE_WORKERS && process_is_worker(p); r++) {
        const struct process *other = &p->sup->process[r];

        if (other != p && other->generation == p->generation &&
            (other->fsm.state == CHILD_RUNNING || other->fsm.state == CHILD_STARTING))
            return false;
    }
    return process_is_worker(p);
}

/* The listeners that nobody serves any more except draining workers (MESSAGE_DRAIN). */
static uint64_t abandoned(const struct process *p)
{
    const struct supervisor *sup = p->sup;
    const struct listener_set *ours = &p->generation->listeners;
    uint64_t mask = 0;

    /* Some sockets of a failed trial were opened for it alone. */
    if (sup->stopping || p->generation == sup->current ||
        p->generation->number > sup->current->number)
        return MESSAGE_ALL_LISTENERS;
    for (uint32_t i = 0; i < ours->n; i++)
        if (!listeners_has(&sup->current->listeners, ours->v[i]))
            mask |= UINT64_C(1) << i;
    return mask;
}

/* ---- actions */

/* Sent before the fork, so that the worker has it from the start. */
static int send_affinity(const struct process *p, int fd)
{
    struct message message = {.type = MESSAGE_AFFINITY};

    memcpy(message.body.affinity, p->sup->affinity, sizeof message.body.affinity);
    int rc = message_send(fd, &message, -1);
    explicit_bzero(&message, sizeof message);
    return rc;
}

static void fill_heritage(struct process *p, int control_fd)
{
    struct heritage *h = &p->sup->heritage;
    const struct generation *g = p->generation;

    h->kind = p->kind;
    h->row = p->row;
    h->slot = p->slot;
    h->incarnation = p->incarnation;
    h->generation = g->number;
    h->conf = g->conf;
    h->table = p->sup->table;
    h->control_fd = control_fd;
    h->access_fd = process_is_worker(p) ? g->access_fd : -1;
    h->backend_slot = g->backend_slot;
    h->recent_room = g->room.records;
    if (p->kind != KIND_RESTARTER)
        memset(&h->action, 0, sizeof h->action);
    h->nlisteners = process_is_worker(p) ? listeners_of_slot(&g->listeners, (uint32_t)p->slot,
                                                             g->workers, h->listener)
                                         : 0;
}

/* 0, or -1 with errno: no process, descriptor or memory to be had. */
static int fork_child(struct process *p)
{
    /* The restarter needs the Docker Engine's socket, or systemctl, with the supervisor's
     * rights. */
    static const struct identity itself = {.name = "the supervisor's user"};
    struct supervisor *sup = p->sup;
    int pair[2];

    if (process_is_worker(p) && table_reserve_row(p->row, p->generation->room) < 0)
        return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    p->incarnation++;
    p->started_wall_ms = clock_wall_ms();
    p->next_start_ms = 0;
    publish_child(p); /* first: its cells count from its first moment */
    fill_heritage(p, pair[1]);
    if (process_is_worker(p) && send_affinity(p, pair[0]) < 0)
        p->pid = -1;
    else
        p->pid = launch(&sup->heritage,
                        p->kind == KIND_RESTARTER ? &itself : &p->generation->identity);
    close(pair[1]);
    if (p->pid < 0 || loop_add(&sup->loop, &p->control, pair[0], EPOLLIN) < 0) {
        int error = errno;

        if (p->pid > 0) /* its socket closes: it ends, and is reaped as an unknown process */
            kill(p->pid, SIGKILL);
        p->pid = 0;
        close(pair[0]);
        errno = error;
        return -1;
    }
    if (process_is_worker(p))
        process_send_tickets(p);
    return 0;
}

static void forked_or_not(struct process *p)
{
    static struct log_gate gate;
    char who[PROCESS_NAME], lack[ERRORS_LACK];

    if (fork_child(p) == 0) {
        log_debug("%s started", process_describe(p, who));
        return;
    }
    if (log_gate_open(&gate))
        log_error("cannot start %s: %s", process_describe(p, who), errors_lack(errno, lack));
    if (p->generation == p->sup->trial)
        p->sup->ops->trial_ended(p);
    else
        process_event(
            p, CHILD_FSM_NOT_FORKED,
            &(struct child_fsm_input){.now_ms = clock_mono_ms(), .last = process_is_last(p)});
}

static void release_row(struct process *p)
{
    struct supervisor *sup = p->sup;

    generation_unref(p->generation);
    p->generation = NULL;
    p->restarts = process_is_worker(p) ? 0 : p->restarts;
    publish_child(p);
    if (p->kind == KIND_RESTARTER)
        sup->ops->restarter_ended(sup, p->last_exit);
    else if (!process_is_worker(p) && !sup->stopping)
        process_start_single(sup, p->row); /* a reload replaces it */
}

void process_event(struct process *p, enum child_fsm_event event,
                   const struct child_fsm_input *input)
{
    struct loop *loop = &p->sup->loop;
    uint64_t delay_ms;
    uint8_t before = p->fsm.state;
    unsigned actions = child_fsm_step(&p->fsm, event, input, &delay_ms);
    char who[PROCESS_NAME];

    if (actions == 0 && p->fsm.state == before)
        return;
    log_debug("%s: %s, %s -> %s", process_describe(p, who), child_fsm_event_name(event),
              child_state_name(before), child_state_name(p->fsm.state));
    if (p->fsm.state == CHILD_BACKOFF)
        p->next_start_ms = input->now_ms + delay_ms;
    if (actions & CHILD_FSM_SEND_DRAIN) {
        struct message message = {.type = MESSAGE_DRAIN, .value = delay_ms};

        if (process_is_worker(p))
            message.number = abandoned(p);
        process_send(p, &message, -1);
        delay_ms += KILL_GRACE_MS;
    }
    if ((actions & CHILD_FSM_KILL) && p->pid) {
        if (event == CHILD_FSM_TIMER || event == CHILD_FSM_LATE)
            log_warn("%s %s; killed", process_describe(p, who),
                     event == CHILD_FSM_LATE    ? "missed its heartbeats"
                     : before == CHILD_STARTING ? "did not become ready"
                                                : "did not end in time");
        kill(p->pid, SIGKILL);
    }
    if (actions & CHILD_FSM_DISARM)
        loop_timer_cancel(&p->timer);
    if (actions & CHILD_FSM_ARM)
        loop_timer_set(loop, &p->timer, delay_ms);
    publish_child(p);
    if (actions & CHILD_FSM_FORK)
        forked_or_not(p);
    publish_child(p);
    publish_ring_workers(p->sup);
    p->sup->ops->changed(p->sup);
    if (actions & CHILD_FSM_SERVES)
        p->sup->ops->ready(p);
    if (actions & CHILD_FSM_RELEASE)
        release_row(p);
}

static void process_on_timer(struct loop_timer *timer)
{
    struct process *p = container_of(timer, struct process, timer);

    process_event(p, CHILD_FSM_TIMER, &(struct child_fsm_input){.now_ms = p->sup->loop.now_ms});
}

static void process_on_readable(struct loop_source *source, uint32_t events)
{
    static struct log_gate gate; /* a compromised child may send any number of them */
    struct process *p = container_of(source, struct process, control);
    struct message message;
    int fd;

    (void)events;
    int got = message_recv(source->fd, &message, &fd);
    fd_close(&fd); /* children never send one */
    if (got == 1) {
        message.body.text[sizeof message.body.text - 1] = '\0';
        p->sup->ops->message(p, &message);
    } else if (got == 0) {
        loop_close(&p->sup->loop, source); /* its exit is reported by SIGCHLD */
    } else if (errno == EPROTO && log_gate_open(&gate)) {
        log_warn("%s sent a malformed message", kind_name(p->kind));
    }
}

/* ---- ends */

static void log_end(const struct process *p, int status)
{
    bool asked = p->fsm.state == CHILD_DRAINING;
    char who[PROCESS_NAME];

    process_describe(p, who);
    if (WIFSIGNALED(status))
        log_line(asked ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "%s was ended by signal %d (%s)",
                 who, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (asked || p->kind == KIND_RESTARTER) /* backend/recovery.c reports the result */
        log_debug("%s finished with exit code %d", who, WEXITSTATUS(status));
    else if (WEXITSTATUS(status) == CHILD_FSM_EXIT_CONFIG)
        log_error("%s cannot work with this configuration; not started again until a reload",
                  who);
    else
        log_error("%s ended with exit code %d", who, WEXITSTATUS(status));
}

static void process_ended(struct process *p, int status)
{
    struct supervisor *sup = p->sup;
    bool asked = p->fsm.state == CHILD_DRAINING;

    log_end(p, status);
    /* It sends its last message just before it ends, and SIGCHLD may be handled first. */
    for (int i = 0; p->kind == KIND_RESTARTER && p->control.fd >= 0 && i < LAST_WORDS; i++)
        process_on_readable(&p->control, EPOLLIN);
    loop_close(&sup->loop, &p->control);
    p->pid = 0;
    p->last_exit = status;
    if (process_is_worker(p)) /* before its row can be used again */
        counters_take(sup->table, p->row, p->incarnation, sup->header.nbackends);
    if (sup->trial && p->generation == sup->trial && !asked) {
        sup->ops->trial_ended(p); /* gives up all of the trial, this row included */
        return;
    }
    if (!asked && p->kind != KIND_RESTARTER)
        p->restarts++;
    process_event(p, CHILD_FSM_EXITED,
                  &(struct child_fsm_input){
                      .now_ms = clock_mono_ms(), .status = status, .last = process_is_last(p)});
}

void processes_reap(struct supervisor *sup)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int r = 0; r < ROWS; r++) {
            if (sup->process[r].pid == pid) {
                process_ended(&sup->process[r], status);
                break;
            }
        }
    }
}

/* ---- starts */

void processes_init(struct supervisor *sup, const struct child_ops *ops)
{
    sup->ops = ops;
    for (int r = 0; r < ROWS; r++) {
        struct process *p = &sup->process[r];

        *p = (struct process){.sup = sup, .row = r, .last_exit = -1};
        p->kind = r < TABLE_WORKERS  ? KIND_WORKER
                  : r == ROW_HEALTHD ? KIND_HEALTHD
                  : r == ROW_ACMED   ? KIND_ACMED
                                     : KIND_RESTARTER;
        p->fsm.once = p->kind == KIND_RESTARTER;
        p->control = (struct loop_source){.ready = process_on_readable, .fd = -1};
        p->timer.fire = process_on_timer;
    }
}

uint32_t processes_free_rows(const struct supervisor *sup)
{
    uint32_t n = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        n += sup->process[r].fsm.state == CHILD_EMPTY;
    return n;
}

static void process_start(struct process *p, struct generation *generation)
{
    p->generation = generation_ref(generation);
    p->lent_to = NULL;
    process_event(p, CHILD_FSM_START, &(struct child_fsm_input){.now_ms = clock_mono_ms()});
}

/* A slot's restart count carries over to the new generation. */
static uint32_t restarts_of_slot(const struct supervisor *sup, int slot)
{
    uint32_t n = 0;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct process *p = &sup->process[r];

        if (p->generation && p->generation == sup->current && p->slot == slot)
            n = p->restarts;
    }
    return n;
}

bool process_start_worker(struct supervisor *sup, struct generation *generation, int slot)
{
    for (int r = 0; r < TABLE_WORKERS; r++) {
        struct process *p = &sup->process[r];

        if (p->fsm.state != CHILD_EMPTY)
            continue;
        p->slot = slot;
        p->restarts = restarts_of_slot(sup, slot);
        p->last_exit = -1;
        process_start(p, generation);
        return true;
    }
    return false;
}

void process_start_single(struct supervisor *sup, int row)
{
    CHECK(sup->process[row].fsm.state == CHILD_EMPTY);
    process_start(&sup->process[row], sup->current);
}

void process_start_restarter(struct supervisor *sup, const struct heritage_action *action,
                             uint64_t limit_ms)
{
    struct process *p = &sup->process[ROW_RESTARTER];

    CHECK(p->fsm.state == CHILD_EMPTY);
    sup->heritage.action = *action;
    p->last_exit = -1;
    p->generation = generation_ref(sup->current);
    process_event(p, CHILD_FSM_START,
                  &(struct child_fsm_input){.now_ms = clock_mono_ms(), .limit_ms = limit_ms});
}

void process_drain(struct process *p, uint64_t limit_ms)
{
    process_event(p, CHILD_FSM_DRAIN,
                  &(struct child_fsm_input){.now_ms = clock_mono_ms(), .limit_ms = limit_ms});
}
