/* The new side of an upgrade: believes the state only as far as it is of this build, and takes
 * it over. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/oom.h"
#include "supervisor/upgrade.h"
#include "supervisor/upgrade_state.h"

const struct upgrade_state *upgrade_map(int fd, size_t *n, char why[UPGRADE_WHY])
{
    const struct upgrade_state *state = MAP_FAILED;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    if (fstat(fd, &st) == 0 && seals >= 0 && (seals & F_SEAL_WRITE) &&
        (size_t)st.st_size > 4 * sizeof(uint32_t))
        state = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (state == MAP_FAILED || state->magic != UPGRADE_MAGIC) {
        snprintf(why, UPGRADE_WHY, "there is no state to take over");
        return NULL;
    }
    *n = (size_t)st.st_size;
    if (state->version != UPGRADE_VERSION || state->size != sizeof *state ||
        *n < sizeof *state || state->table_version != TABLE_VERSION ||
        state->table_size != sizeof(struct table)) {
        snprintf(
            why, UPGRADE_WHY,
            "version %s keeps its state in another form than the running program (table %u, "
            "and %u); restart the service to change to it",
            PASGATE_VERSION, (unsigned)TABLE_VERSION, state->table_version);
        munmap((void *)(uintptr_t)state, *n);
        return NULL;
    }
    return state;
}

/* ---- what can be checked before anything is taken over */

static struct conf *parse(const struct upgrade_state *state, size_t n, uint32_t i,
                          struct conf_errors *errs)
{
    const struct upgrade_generation *g = &state->generation[i];

    if (g->text_at > n || g->text_n > n - g->text_at)
        return NULL;
    return conf_load_text((const char *)state + g->text_at, g->text_n, errs);
}

static bool fits(const struct upgrade_state *state, const struct upgrade_generation *g,
                 const struct conf *conf)
{
    bool good = g->n_backends == conf->n_backends && g->n_listen == conf->n_listen;

    for (uint32_t i = 0; good && i < g->n_backends; i++)
        good = g->backend_slot[i] < state->slots.n;
    for (uint32_t i = 0; good && i < g->n_listen; i++)
        good = g->listener[i] < state->n_listeners;
    return good;
}

int upgrade_self_test(void)
{
    char why[UPGRADE_WHY];
    size_t n;
    int fd = upgrade_inherited(), code = 0;
    const struct upgrade_state *state = upgrade_map(fd, &n, why);

    if (!state) {
        printf("%s\n", why);
        return 1;
    }
    for (uint32_t i = 0; code == 0 && i < state->n_generations; i++) {
        struct conf_errors errs = {0};
        struct conf *conf = parse(state, n, i, &errs);

        code = !conf || !fits(state, &state->generation[i], conf);
        if (code)
            printf("version %s cannot work with the configuration that is in use: %s\n",
                   PASGATE_VERSION, errs.n ? errs.v[0] : "it means something else there");
        conf_errors_release(&errs);
        conf_free(conf);
    }
    return code;
}

/* ---- adoption */

static void adopt_fd(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* In their order, so that an index finds them. */
static void adopt_listeners(struct supervisor *sup, const struct upgrade_state *state,
                            struct listener *v[UPGRADE_LISTENERS])
{
    struct listener **at = &sup->listeners.first;

    for (uint32_t i = 0; i < state->n_listeners; i++) {
        const struct upgrade_listener *from = &state->listener[i];
        struct listener *l = calloc(1, sizeof *l);

        CHECK(l && from->n <= CONF_MAX_WORKERS);
        l->asked = from->asked;
        l->addr = from->addr;
        l->addr_len = from->addr_len;
        l->dual = from->dual;
        l->n = from->n;
        for (uint32_t s = 0; s < l->n; s++)
            adopt_fd(l->fd[s] = from->fd[s]);
        *at = v[i] = l;
        at = &l->next;
    }
}

static struct generation *adopt_generation(struct supervisor *sup,
                                           const struct upgrade_state *state, size_t n,
                                           uint32_t i, struct listener *v[UPGRADE_LISTENERS])
{
    const struct upgrade_generation *from = &state->generation[i];
    struct conf_errors errs = {0};
    struct conf *conf = parse(state, n, i, &errs);
    struct generation *g = calloc(1, sizeof *g);

    CHECK(conf && g && fits(state, from, conf)); /* the self-test has seen it */
    *g = (struct generation){.number = from->number,
                             .workers = from->workers,
                             .conf = conf,
                             .identity = from->identity,
                             .slots_taken = true,
                             .access_fd = from->access_fd,
                             .room = from->room,
                             .slots = &sup->slots,
                             .all = &sup->listeners};
    adopt_fd(g->access_fd);
    memcpy(g->backend_slot, from->backend_slot, sizeof g->backend_slot);
    g->listeners.n = from->n_listen;
    for (uint32_t l = 0; l < from->n_listen; l++) {
        g->listeners.v[l] = v[from->listener[l]];
        g->listeners.v[l]->refs++;
        g->listeners.sockets[l] = from->sockets[l];
    }
    return g;
}

static int adopt_process(struct supervisor *sup, const struct upgrade_process *from, int row,
                         struct generation *const g[UPGRADE_GENERATIONS])
{
    struct process *p = &sup->process[row];
    uint64_t now = clock_mono_ms();

    p->fsm = from->fsm;
    p->slot = from->slot;
    p->pid = from->pid;
    p->last_exit = from->last_exit;
    p->incarnation = from->incarnation;
    p->restarts = from->restarts;
    p->started_wall_ms = from->started_wall_ms;
    p->next_start_ms = from->next_start_ms;
    if (from->generation != UPGRADE_NONE)
        p->generation = generation_ref(g[from->generation]);
    if (from->lent_to != UPGRADE_NONE)
        p->lent_to = &sup->process[from->lent_to];
    p->lent_incarnation = from->lent_incarnation;
    if (from->timer_ms)
        loop_timer_set(&sup->loop, &p->timer, from->timer_ms > now ? from->timer_ms - now : 0);
    adopt_fd(from->control_fd);
    return from->control_fd < 0 ? 0
                                : loop_add(&sup->loop, &p->control, from->control_fd, EPOLLIN);
}

static void adopt_rest(struct supervisor *sup, const struct upgrade_state *state)
{
    memcpy(sup->heritage.doorbell, state->doorbell, sizeof sup->heritage.doorbell);
    for (int r = 0; r < TABLE_WORKERS; r++)
        adopt_fd(state->doorbell[r]);
    adopt_fd(sup->heritage.doorbell_healthd = state->doorbell_healthd);
    adopt_fd(sup->heritage.doorbell_acmed = state->doorbell_acmed);
    memcpy(sup->pidfile, state->pidfile, sizeof sup->pidfile);
    sup->ready_told = state->ready_told;
    sup->affinity_loaded = state->affinity_loaded;
    *sup->tickets = state->tickets;
    memcpy(sup->affinity, state->affinity, sizeof state->affinity);
    sup->slots = state->slots;
    sup->overrides = state->overrides;
    recovery_adopt(sup->recoveries, &state->recoveries);
    oom_adopt(state->oom_at_start);
}

int upgrade_adopt(struct supervisor *sup, int fd, int *pidfile_fd)
{
    struct listener *listener[UPGRADE_LISTENERS] = {NULL};
    struct generation *generation[UPGRADE_GENERATIONS] = {NULL};
    char why[UPGRADE_WHY];
    size_t n;
    const struct upgrade_state *state = upgrade_map(fd, &n, why);
    int rc = 0;

    if (!state) {
        log_error("the upgrade failed: %s", why);
        return -1;
    }
    sup->object = state->object;
    adopt_fd(sup->object.fd);
    adopt_fd(sup->object.fd_read);
    adopt_fd(*pidfile_fd = state->pidfile_fd);
    sup->table = table_adopt(&sup->object, &state->room);
    if (!sup->table || !header_read(&sup->table->header, &sup->header)) {
        log_error("the upgrade failed: cannot map the table: %s", strerror(errno));
        return -1;
    }
    rows_adopt(sup->table);
    adopt_rest(sup, state);
    adopt_listeners(sup, state, listener);
    for (uint32_t i = 0; i < state->n_generations; i++)
        generation[i] = adopt_generation(sup, state, n, i, listener);
    sup->current = generation_ref(generation[state->current]);
    for (int r = 0; rc == 0 && r < ROWS; r++)
        rc = adopt_process(sup, &state->process[r], r, generation);
    uint64_t now = clock_mono_ms();
    loop_timer_set(&sup->loop, &sup->rotation,
                   state->rotation_ms > now ? state->rotation_ms - now : 0);
    if (rc < 0)
        log_error("the upgrade failed: %s", strerror(errno));
    munmap((void *)(uintptr_t)state, n);
    return rc;
}
