/* The old side of an upgrade: writes the state, has the new binary test it, becomes it. */
#include "supervisor/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/errors.h"
#include "supervisor/notify.h"
#include "supervisor/oom.h"
#include "supervisor/upgrade_state.h"

#define VARIABLE "PASGATE_UPGRADE"

enum { SELF_TEST_MS = 5000, SELF_TEST_TEXT = 400 };

static char program[PATH_MAX];

void upgrade_init(void)
{
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);

    program[n > 0 ? n : 0] = '\0';
}

/* ---- the state */

static int generation_index(const struct upgrade_state *state, const struct generation *g)
{
    for (uint32_t i = 0; g && i < state->n_generations; i++)
        if (state->generation[i].number == g->number)
            return (int)i;
    return UPGRADE_NONE;
}

static uint32_t listener_index(const struct supervisor *sup, const struct listener *wanted)
{
    uint32_t i = 0;

    for (const struct listener *l = sup->listeners.first; l && l != wanted; l = l->next)
        i++;
    return i;
}

static bool put_listeners(const struct supervisor *sup, struct upgrade_state *state)
{
    for (const struct listener *l = sup->listeners.first; l; l = l->next) {
        struct upgrade_listener *to = &state->listener[state->n_listeners];

        if (state->n_listeners++ == UPGRADE_LISTENERS)
            return false;
        *to = (struct upgrade_listener){.asked = l->asked,
                                        .addr = l->addr,
                                        .addr_len = l->addr_len,
                                        .dual = l->dual,
                                        .n = l->n};
        for (uint32_t i = 0; i < l->n; i++)
            to->fd[i] = l->fd[i];
    }
    return true;
}

/* Also appends the text of its configuration to the file. */
static bool put_generation(const struct supervisor *sup, struct upgrade_state *state,
                           const struct generation *g, int fd)
{
    struct upgrade_generation *to = &state->generation[state->n_generations];
    size_t n;
    const void *text = conf_text(g->conf, &n);
    off_t at = lseek(fd, 0, SEEK_CUR);

    if (generation_index(state, g) != UPGRADE_NONE)
        return true;
    if (state->n_generations++ == UPGRADE_GENERATIONS || at < 0 ||
        fd_write_all(fd, text, n) < 0)
        return false;
    *to = (struct upgrade_generation){.number = g->number,
                                      .workers = g->workers,
                                      .access_fd = g->access_fd,
                                      .text_at = (uint32_t)at,
                                      .text_n = (uint32_t)n,
                                      .identity = g->identity,
                                      .room = g->room,
                                      .n_backends = (uint32_t)g->conf->n_backends,
                                      .n_listen = g->listeners.n};
    memcpy(to->backend_slot, g->backend_slot, sizeof to->backend_slot);
    for (uint32_t i = 0; i < g->listeners.n; i++) {
        to->listener[i] = listener_index(sup, g->listeners.v[i]);
        to->sockets[i] = g->listeners.sockets[i];
    }
    return true;
}

static void put_process(const struct process *p, struct upgrade_state *state)
{
    state->process[p->row] =
        (struct upgrade_process){.fsm = p->fsm,
                                 .slot = p->slot,
                                 .pid = p->pid,
                                 .control_fd = p->control.fd,
                                 .last_exit = p->last_exit,
                                 .generation = generation_index(state, p->generation),
                                 .lent_to = p->lent_to ? p->lent_to->row : UPGRADE_NONE,
                                 .incarnation = p->incarnation,
                                 .restarts = p->restarts,
                                 .lent_incarnation = p->lent_incarnation,
                                 .started_wall_ms = p->started_wall_ms,
                                 .next_start_ms = p->next_start_ms,
                                 .timer_ms = loop_timer_armed(&p->timer) ? p->timer.due_ms : 0};
}

static void put_rest(const struct supervisor *sup, struct upgrade_state *state)
{
    state->object = sup->object;
    table_room_take(&state->room);
    state->pidfile_fd = sup->pidfile_fd;
    memcpy(state->pidfile, sup->pidfile, sizeof state->pidfile);
    memcpy(state->doorbell, sup->heritage.doorbell, sizeof state->doorbell);
    state->doorbell_healthd = sup->heritage.doorbell_healthd;
    state->doorbell_acmed = sup->heritage.doorbell_acmed;
    state->oom_at_start = oom_at_start();
    state->ready_told = sup->ready_told;
    state->affinity_loaded = sup->affinity_loaded;
    state->rotation_ms = sup->rotation.due_ms;
    state->tickets = *sup->tickets;
    memcpy(state->affinity, sup->affinity, sizeof state->affinity);
    state->slots = sup->slots;
    state->overrides = sup->overrides;
    state->recoveries = *sup->recoveries;
    state->recoveries.sup = NULL;
    for (int r = 0; r < ROWS; r++)
        put_process(&sup->process[r], state);
    state->magic = UPGRADE_MAGIC;
    state->version = UPGRADE_VERSION;
    state->size = sizeof *state;
    state->table_version = TABLE_VERSION;
    state->table_size = sizeof(struct table);
}

/* Returns the memfd, or -1 with errno. It holds keys: it is in memory only. */
static int write_state(const struct supervisor *sup)
{
    struct upgrade_state *state = calloc(1, sizeof *state);
    int fd = memfd_create("pasgate-upgrade", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool good = state && fd >= 0 && lseek(fd, sizeof *state, SEEK_SET) > 0;

    good = good && put_listeners(sup, state) && put_generation(sup, state, sup->current, fd);
    for (int r = 0; good && r < ROWS; r++)
        if (sup->process[r].generation)
            good = put_generation(sup, state, sup->process[r].generation, fd);
    if (good) {
        put_rest(sup, state);
        good = pwrite(fd, state, sizeof *state, 0) == (ssize_t)sizeof *state &&
               fcntl(fd, F_ADD_SEALS,
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
    }
    int error = errno;
    if (state)
        explicit_bzero(state, sizeof *state);
    free(state);
    if (!good)
        fd_close(&fd);
    errno = error;
    return fd;
}

/* ---- the self-test */

static _Noreturn void become_test(int state, int out)
{
    char number[16];
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(number, sizeof number, "%d", state);
    setenv(VARIABLE, number, 1);
    if (fcntl(state, F_SETFD, 0) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(1);
    execl(program, "pasgate", "--self-test", (char *)NULL);
    dprintf(STDOUT_FILENO, "%s cannot be executed: %s", program, strerror(errno));
    _exit(1);
}

/* Reads until the other side closes; false: not in time. */
static bool read_reason(int fd, char out[SELF_TEST_TEXT])
{
    uint64_t end_ms = clock_mono_ms() + SELF_TEST_MS;
    struct pollfd one = {.fd = fd, .events = POLLIN};
    size_t n = 0;
    char rest[64] = {0};

    out[0] = '\0';
    for (uint64_t now; (now = clock_mono_ms()) < end_ms;) {
        bool full = n + 1 >= SELF_TEST_TEXT;

        if (poll(&one, 1, (int)(end_ms - now)) <= 0)
            continue;
        ssize_t got =
            read(fd, full ? rest : out + n, full ? sizeof rest : SELF_TEST_TEXT - 1 - n);
        if (got == 0 || (got < 0 && errno != EINTR))
            return true;
        if (got > 0 && !full)
            out[n += (size_t)got] = '\0';
    }
    return false;
}

/* Does the new binary understand the state? Else why not. */
static bool self_test(int state, char why[SELF_TEST_TEXT])
{
    int pair[2], status = 0;
    pid_t pid;
    bool in_time;

    if (pipe2(pair, O_CLOEXEC) < 0) {
        snprintf(why, SELF_TEST_TEXT, "%s", strerror(errno));
        return false;
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        become_test(state, pair[1]);
    snprintf(why, SELF_TEST_TEXT, "%s", pid < 0 ? strerror(errno) : "");
    fd_close(&pair[1]);
    in_time = pid > 0 && read_reason(pair[0], why);
    fd_close(&pair[0]);
    if (pid < 0)
        return false;
    if (!in_time) {
        kill(pid, SIGKILL);
        snprintf(why, SELF_TEST_TEXT, "its self-test took longer than %d s",
                 SELF_TEST_MS / 1000);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    why[strcspn(why, "\n")] = '\0';
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (!*why)
        snprintf(why, SELF_TEST_TEXT, "its self-test ended with %s %d",
                 WIFSIGNALED(status) ? "signal" : "exit code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

/* ---- the exec */

static void keep_open(int fd, bool over_exec)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, over_exec ? 0 : FD_CLOEXEC);
}

/* Everything that the state names survives an exec, or does not any more. */
static void keep_all(const struct supervisor *sup, bool over_exec)
{
    keep_open(sup->object.fd, over_exec);
    keep_open(sup->object.fd_read, over_exec);
    keep_open(sup->pidfile_fd, over_exec);
    for (int r = 0; r < TABLE_WORKERS; r++)
        keep_open(sup->heritage.doorbell[r], over_exec);
    keep_open(sup->heritage.doorbell_healthd, over_exec);
    keep_open(sup->heritage.doorbell_acmed, over_exec);
    for (const struct listener *l = sup->listeners.first; l; l = l->next)
        for (uint32_t i = 0; i < l->n; i++)
            keep_open(l->fd[i], over_exec);
    keep_open(sup->current->access_fd, over_exec);
    for (int r = 0; r < ROWS; r++) {
        keep_open(sup->process[r].control.fd, over_exec);
        if (sup->process[r].generation)
            keep_open(sup->process[r].generation->access_fd, over_exec);
    }
}

/* Returns only if it failed, with errno. */
static void become(struct supervisor *sup, int state)
{
    char number[16];

    snprintf(number, sizeof number, "%d", state);
    keep_all(sup, true);
    keep_open(state, true);
    setenv(VARIABLE, number, 1);
    notify_export(sup->watchdog_ms);
    log_flush();
    execl(program, "pasgate", "run", "-c", sup->conf_file, (char *)NULL);

    int error = errno;

    unsetenv(VARIABLE);
    notify_init();
    keep_all(sup, false);
    errno = error;
}

static void upgrade_refused(struct supervisor *sup, const char *why)
{
    struct conf_errors errs = {0};

    errors_add(&errs, "the upgrade to %s is refused, and the running program goes on: %s",
               program, why);
    reload_refused(sup, &errs);
}

void upgrade_request(struct supervisor *sup)
{
    log_info("signal USR2: upgrade to %s", program);
    sup->upgrade_wanted = true;
}

/* What a new binary cannot take over in the middle. */
static const char *upgrade_prevented(const struct supervisor *sup)
{
    if (sup->trial || sup->reload_wanted)
        return "the reload that is in progress has ended";
    if (sup->process[ROW_RESTARTER].pid || sup->recoveries->acting != RECOVERY_NOBODY)
        return "the restart of a backend has ended";
    return NULL;
}

void upgrade_continue(struct supervisor *sup)
{
    char why[SELF_TEST_TEXT];
    const char *prevented;
    int state;

    if (!sup->upgrade_wanted || sup->stopping)
        return;
    prevented = upgrade_prevented(sup);
    if (prevented) {
        if (!sup->upgrade_waits)
            log_warn("the upgrade waits until %s", prevented);
        sup->upgrade_waits = true;
        return;
    }
    sup->upgrade_wanted = sup->upgrade_waits = false;
    state = write_state(sup);
    if (state < 0) {
        upgrade_refused(sup, strerror(errno));
        return;
    }
    if (self_test(state, why)) {
        become(sup, state);
        snprintf(why, sizeof why, "it cannot be executed: %s", strerror(errno));
    }
    fd_close(&state);
    upgrade_refused(sup, why);
}

int upgrade_inherited(void)
{
    const char *text = getenv(VARIABLE);
    int fd = text ? atoi(text) : -1;

    unsetenv(VARIABLE);
    if (fd > STDERR_FILENO)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd > STDERR_FILENO ? fd : -1;
}
