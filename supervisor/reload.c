/* Reload: the new generation is built and tried beside the old one. When all its workers
 * are ready it takes over; when anything fails it is given up, and the old one has never
 * stopped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/heritage.h"
#include "supervisor/errors.h"
#include "supervisor/examine_child.h"
#include "supervisor/logging.h"
#include "supervisor/notify.h"
#include "supervisor/publish.h"
#include "supervisor/room.h"
#include "supervisor/supervise.h"

void reload_request(struct supervisor *sup)
{
    sup->reload_wanted = true;
    sup->reload_rows = 0; /* the file may ask for fewer workers by now */
}

static void told_result(struct supervisor *sup)
{
    sup->header.reloading = 0;
    sup->header.reload_wall_ms = clock_wall_ms();
    publish_header(sup);
    if (sup->ready_told)
        notify_send("READY=1");
}

/* Reports every error; the current generation stays. */
static void reload_failed(struct supervisor *sup, struct conf_errors *errs)
{
    struct header_row *h = &sup->header;

    for (size_t i = 0; i < errs->n; i++)
        log_error("reload: %s", errs->v[i]);
    log_error("reload failed (%zu error%s): generation %u stays in use", errs->n,
              str_plural(errs->n), sup->current->number);
    h->reload_failures++;
    h->reload_ok = 0;
    h->reload_nerrors = (uint32_t)errs->n;
    snprintf(h->reload_error, sizeof h->reload_error, "%s", errs->n ? errs->v[0] : "");
    conf_errors_release(errs);
    told_result(sup);
}

void reload_refused(struct supervisor *sup, struct conf_errors *errs)
{
    reload_failed(sup, errs);
}

/* Counts older generations that still have processes. */
static int count_draining(const struct supervisor *sup)
{
    const struct generation *seen[ROWS] = {NULL};
    int n = 0;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct generation *g = sup->process[r].generation;
        bool known = !g || g == sup->current || g == sup->trial;

        for (int i = 0; i < n && !known; i++)
            known = seen[i] == g;
        if (!known)
            seen[n++] = g;
    }
    return n;
}

static void reload_wait_for(struct supervisor *sup, const char *what)
{
    if (!sup->reload_waits)
        log_warn("reload waits until %s", what);
    sup->reload_waits = true;
    sup->reload_wanted = true;
}

static struct generation *read_conf(struct supervisor *sup, struct conf_errors *errs)
{
    struct conf_errors warnings = {0};
    struct conf *conf = conf_load(sup->conf_file, errs);

    if (conf) {
        watch_files(&sup->watch, conf->files, conf->n_files);
    } else {
        watch_files(&sup->watch, errs->files,
                    errs->n_files); /* the error will be fixed in one of these */
        return NULL;
    }
    if (strcmp(conf->pidfile, sup->current->conf->pidfile) != 0)
        log_warn("reload: pidfile: a new path takes effect at the next start only");
    examine_child_run(conf, EXAMINE_RELOAD, errs, &warnings);
    errors_log_warnings(&warnings);
    if (errs->n > 0) {
        conf_free(conf);
        return NULL;
    }
    return generation_new(conf, sup->current->number + 1, &sup->slots, &sup->listeners, errs);
}

static void reload_begin(struct supervisor *sup)
{
    struct conf_errors errs = {0};
    struct generation *g;

    sup->header.reloading = 1;
    publish_header(sup);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
    g = read_conf(sup, &errs);
    if (!g) {
        reload_failed(sup, &errs);
        return;
    }
    if (processes_free_rows(sup) < g->workers) {
        sup->reload_rows = g->workers;
        generation_unref(g);
        lend_surplus(sup);
        /* A request that arrives meanwhile is the same one: the file will be read again. */
        sup->header.reloading = 0;
        publish_header(sup);
        reload_wait_for(sup, "older workers have finished");
        return;
    }
    sup->reload_waits = false;
    if (room_reserve(sup, g, &errs) < 0) {
        generation_unref(g);
        listeners_trim(&sup->current->listeners);
        reload_failed(sup, &errs);
        return;
    }
    sup->trial = g;
    admin_prepare(sup, g);
    log_info("reload: trying generation %u", g->number);
    for (uint32_t slot = 0; sup->trial == g && slot < g->workers; slot++)
        CHECK(process_start_worker(sup, g, (int)slot));
}

void reload_continue(struct supervisor *sup)
{
    if (!sup->reload_wanted || sup->trial || sup->stopping)
        return;
    if (count_draining(sup) >= DRAINING_GENERATIONS) {
        reload_wait_for(sup, "one of the older generations has finished");
        return;
    }
    if (processes_free_rows(sup) < sup->reload_rows)
        return;
    sup->reload_rows = 0;
    sup->reload_wanted = false;
    reload_begin(sup);
}

/* ---- the trial's end */

static bool is_old_worker(const struct supervisor *sup, const struct process *p)
{
    return process_is_worker(p) && p->generation && p->generation != sup->current &&
           p->fsm.state != CHILD_DRAINING;
}

static void reload_commit(struct supervisor *sup)
{
    struct generation *old = sup->current;

    sup->current = sup->trial;
    sup->trial = NULL;
    logging_init(sup->current->conf, "supervisor");
    admin_commit(sup, sup->current);
    /* A dropped listener gets no more connections from here on; its workers accept what
     * waits. */
    listeners_drop(&sup->listeners, &sup->current->listeners);
    sup->header.config_generation = sup->current->number;
    sup->header.reloads++;
    sup->header.reload_ok = 1;
    sup->header.reload_nerrors = 0;
    memset(sup->header.reload_error, 0, sizeof sup->header.reload_error);
    for (int r = 0; r < ROWS; r++) {
        struct process *p = &sup->process[r];

        if (is_old_worker(sup, p))
            process_drain(p, sup->current->conf->stop_timeout_ms);
        else if (p->kind != KIND_RESTARTER && !process_is_worker(p))
            process_drain(p, SINGLE_DRAIN_MS); /* when it has ended, the new one is launched */
    }
    generation_unref(old);
    watch_set(&sup->watch, sup->current->conf->watch);
    log_info("reload: generation %u is live", sup->current->number);
    told_result(sup);
}

void reload_on_ready(struct process *p)
{
    struct supervisor *sup = p->sup;
    uint32_t ready = 0;

    if (!sup->trial || p->generation != sup->trial)
        return;
    for (int r = 0; r < TABLE_WORKERS; r++)
        ready += sup->process[r].generation == sup->trial &&
                 sup->process[r].fsm.state == CHILD_RUNNING;
    if (ready == sup->trial->workers)
        reload_commit(sup);
}

/* Workers of the trial that already serve finish what they have. */
static void reload_give_up(struct process *p)
{
    struct child_fsm_input now = {.now_ms = clock_mono_ms()};

    if (p->fsm.state == CHILD_RUNNING && p->pid) {
        process_drain(p, p->generation->conf->stop_timeout_ms);
        return;
    }
    process_event(p, CHILD_FSM_STOP, &now);
    if (p->pid == 0 && p->fsm.state == CHILD_DRAINING)
        process_event(p, CHILD_FSM_EXITED, &now);
}

void reload_on_trial_end(struct process *p)
{
    struct supervisor *sup = p->sup;
    struct generation *g = sup->trial;
    struct conf_errors errs = {0};

    if (p->last_exit != -1 && WIFEXITED(p->last_exit) &&
        WEXITSTATUS(p->last_exit) == HERITAGE_EXIT_UNREADABLE)
        errors_add(&errs,
                   "acme.store: new workers cannot read a certificate that is served now, and "
                   "would replace it by a self-signed one: see their log");
    else if (p->last_exit != -1 && WIFEXITED(p->last_exit))
        errors_add(&errs,
                   "worker %d of the new generation ended with exit code %d: see its log",
                   p->slot, WEXITSTATUS(p->last_exit));
    else if (p->last_exit != -1)
        errors_add(&errs, "worker %d of the new generation was ended by signal %d", p->slot,
                   WTERMSIG(p->last_exit));
    else
        errors_add(&errs, "worker %d of the new generation could not be started", p->slot);
    sup->trial = NULL;
    listeners_drop(&sup->listeners, &sup->current->listeners);
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (sup->process[r].generation == g && sup->process[r].fsm.state != CHILD_DRAINING)
            reload_give_up(&sup->process[r]);
    generation_unref(g);
    lend_surplus(sup);
    admin_commit(sup, sup->current);
    reload_failed(sup, &errs);
}

void reload_forget(struct supervisor *sup)
{
    generation_unref(sup->trial);
    sup->trial = NULL;
    sup->reload_wanted = false;
    sup->header.reloading = 0;
}
