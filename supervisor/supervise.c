/* The supervisor's start, and the state of the service that it reports. */
#include "supervisor/supervise.h"
#include "supervisor/backend/affinity_key.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sink.h"
#include "base/str.h"
#include "shm/message.h"
#include "supervisor/backend/drain.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/errors.h"
#include "supervisor/examine_child.h"
#include "supervisor/logging.h"
#include "supervisor/notify.h"
#include "supervisor/oom.h"
#include "supervisor/pidfile.h"
#include "supervisor/publish.h"
#include "supervisor/room.h"
#include "supervisor/stop.h"
#include "supervisor/tickets.h"
#include "supervisor/upgrade.h"

/* ---- the running service */

static uint32_t supervise_count(const struct supervisor *sup, enum kind kind,
                                enum child_state state)
{
    uint32_t n = 0;

    for (int r = 0; r < ROWS; r++) {
        const struct process *p = &sup->process[r];

        n += p->generation == sup->current && p->kind == kind && p->fsm.state == state;
    }
    return n;
}

static void tell_status(struct supervisor *sup)
{
    char line[sizeof sup->status];

    snprintf(line, sizeof line, "%sgeneration %u, workers serving: %u of %u%s%s",
             sup->stopping ? "stopping, " : "", sup->current->number,
             supervise_count(sup, KIND_WORKER, CHILD_RUNNING), sup->current->workers,
             supervise_count(sup, KIND_HEALTHD, CHILD_RUNNING) ? "" : ", no healthd",
             supervise_count(sup, KIND_ACMED, CHILD_RUNNING) ? "" : ", no acmed");
    if (strcmp(line, sup->status) == 0)
        return;
    memcpy(sup->status, line, sizeof line);
    notify_send("STATUS=%s", line);
}

static void check_ready(struct supervisor *sup)
{
    const struct conf *conf = sup->current->conf;
    uint32_t workers = sup->current->workers;

    if (sup->ready_told)
        return;
    if (supervise_count(sup, KIND_WORKER, CHILD_RUNNING) == workers &&
        supervise_count(sup, KIND_HEALTHD, CHILD_RUNNING) &&
        supervise_count(sup, KIND_ACMED, CHILD_RUNNING)) {
        sup->ready_told = true;
        log_info("ready: generation %u, %u worker%s, %zu listener%s, %zu backend%s",
                 sup->current->number, workers, str_plural(workers), conf->n_listen,
                 str_plural(conf->n_listen), conf->n_backends, str_plural(conf->n_backends));
        notify_send("READY=1");
    } else if (supervise_count(sup, KIND_WORKER, CHILD_HELD) == workers && !sup->trial) {
        /* It has never served, and cannot before somebody edits the file. */
        log_error("no worker can work with this configuration");
        sup->exit_code = SUPERVISE_EXIT_CONFIG;
        stop_begin(sup, true);
    }
}

static void supervise_check(struct supervisor *sup)
{
    if (sup->stopping)
        stop_continue(sup);
    else
        check_ready(sup);
    tell_status(sup);
}

/* ---- the start */

static void supervise_print_errors(struct conf_errors *errs)
{
    for (size_t i = 0; i < errs->n; i++)
        log_plain("%s", errs->v[i]);
    conf_errors_release(errs);
}

static int open_bells(struct heritage *h)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        if ((h->doorbell[r] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
            return -1;
    h->doorbell_healthd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    h->doorbell_acmed = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return h->doorbell_healthd < 0 || h->doorbell_acmed < 0 ? -1 : 0;
}

static void on_rotation(struct loop_timer *timer)
{
    struct supervisor *sup = container_of(timer, struct supervisor, rotation);

    tickets_rotate(sup->tickets);
    for (int r = 0; r < TABLE_WORKERS; r++)
        process_send_tickets(&sup->process[r]);
    loop_timer_set(&sup->loop, &sup->rotation, TICKET_ROTATE_MS);
}

static void on_file_changed(struct watch *watch, const char *path)
{
    struct supervisor *sup = container_of(watch, struct supervisor, watch);

    log_info("%s has changed: reloading", path);
    reload_request(sup);
}

static const struct child_ops ops = {
    .changed = lend_sockets,
    .ready = reload_on_ready,
    .trial_ended = reload_on_trial_end,
    .restarter_ended = recovery_restarter_ended,
    .message = events_message,
};

static void first_header(struct supervisor *sup)
{
    struct header_row *h = &sup->header;

    h->config_generation = 1;
    h->reload_ok = 1;
    h->started_ms = clock_mono_ms();
    h->started_wall_ms = clock_wall_ms();
    h->pid = getpid();
    snprintf(h->version, sizeof h->version, "%s", PASGATE_VERSION);
    snprintf(h->config_file, sizeof h->config_file, "%s", sup->conf_file);
}

static int reserve_rows(struct supervisor *sup)
{
    struct conf_errors errs = {0};
    int rc = room_reserve(sup, sup->current, &errs);

    for (size_t i = 0; i < errs.n; i++)
        log_error("%s", errs.v[i]);
    conf_errors_release(&errs);
    return rc;
}

/* Shares the table with the group that has the user's name, because no other user is in it.
 * Others would see what clients request. */
static void share_table(const struct supervisor *sup)
{
    const struct identity *identity = &sup->current->identity;
    const struct group *group = getgrgid(identity->gid);

    if (!group || strcmp(group->gr_name, identity->name) != 0)
        return;
    if (object_share(&sup->object, identity->gid) < 0)
        log_warn("the group %s cannot read the table: %s", group->gr_name, strerror(errno));
}

static void tell_no_start(int error)
{
    char text[ERRORS_LACK];

    log_error("cannot start: %s", errors_lack(error, text));
}

/* What every supervisor has, at a start and after an upgrade. 0 or -1 with errno. */
static int open_parts(struct supervisor *sup)
{
    if (loop_init(&sup->loop) < 0 || events_open(sup) < 0 || tickets_init(&sup->tickets) < 0 ||
        affinity_key_init(&sup->affinity) < 0)
        return -1;
    sup->rotation.fire = on_rotation;
    watch_init(&sup->watch, &sup->loop, on_file_changed);
    processes_init(sup, &ops);
    sup->recoveries = recovery_new(sup);
    return sup->recoveries ? 0 : -1;
}

/* Everything that can fail at start, before the first child. 0 or -1 after a log line. */
static int supervise_prepare(struct supervisor *sup, const char *object)
{
    sup->table = table_create(&sup->object, object);
    if (!sup->table) {
        room_tell_no_table(object, errno);
        return -1;
    }
    rows_keep(sup->table);
    share_table(sup);
    if (open_parts(sup) < 0 || open_bells(&sup->heritage) < 0 ||
        table_seal(sup->table, KIND_SUPERVISOR, 0) < 0) {
        tell_no_start(errno);
        return -1;
    }
    sup->watchdog_ms = notify_init();
    loop_timer_set(&sup->loop, &sup->rotation, TICKET_ROTATE_MS);
    watch_files(&sup->watch, sup->current->conf->files, sup->current->conf->n_files);
    first_header(sup);
    return reserve_rows(sup);
}

static int run_loop(struct supervisor *sup)
{
    while (!sup->loop.stop) {
        loop_once(&sup->loop, LOOP_IDLE_WAIT_MS);
        reload_continue(sup);
        upgrade_continue(sup);
        supervise_check(sup);
    }
    admin_retry(sup); /* the last chance of overrides that could not be stored */
    log_info("pasgate has stopped");
    log_flush();
    return sup->exit_code;
}

static int supervise_run(struct supervisor *sup)
{
    log_info("pasgate %s starts: %s, %u worker%s, children run as %s", PASGATE_VERSION,
             sup->conf_file, sup->current->workers, str_plural(sup->current->workers),
             sup->current->identity.name);
    admin_load(sup);
    admin_commit(sup, sup->current);
    watch_set(&sup->watch, sup->current->conf->watch);
    heartbeat_start(sup);
    process_start_single(sup, ROW_ACMED);
    process_start_single(sup, ROW_HEALTHD);
    for (uint32_t slot = 0; slot < sup->current->workers; slot++)
        CHECK(process_start_worker(sup, sup->current, (int)slot));
    return run_loop(sup);
}

/* After an exec by an older (or newer) program: everything is there and serves. A reload brings
 * processes of this program. */
static int supervise_go_on(struct supervisor *sup, int state)
{
    uint32_t children = 0;

    log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, "supervisor");
    events_block();
    if (open_parts(sup) < 0 || upgrade_adopt(sup, state, &sup->pidfile_fd) < 0 ||
        table_seal(sup->table, KIND_SUPERVISOR, 0) < 0) {
        tell_no_start(errno);
        return SUPERVISE_EXIT_FAILURE;
    }
    fd_close(&state);
    logging_init(sup->current->conf, "supervisor");
    oom_prefer(KIND_SUPERVISOR);
    privilege_prepare();
    privilege_limit();
    sup->watchdog_ms = notify_init();
    watch_files(&sup->watch, sup->current->conf->files, sup->current->conf->n_files);
    for (int r = 0; r < ROWS; r++)
        children += sup->process[r].pid > 0;
    log_info("pasgate %s goes on in place of version %s: %u processes adopted, generation %u",
             PASGATE_VERSION, sup->header.version, children, sup->current->number);
    snprintf(sup->header.version, sizeof sup->header.version, "%s", PASGATE_VERSION);
    publish_header(sup);
    heartbeat_start(sup);
    drains_watch(sup);
    processes_reap(sup);
    reload_request(sup);
    return run_loop(sup);
}

static void open_standard(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
    fd_close(&fd);
}

static int lock_pidfile(const char *path)
{
    pid_t other;
    int fd = pidfile_lock(path, &other);

    if (fd >= 0)
        return fd;
    if (errno == EAGAIN)
        log_error("pasgate is already running: process %d holds %s", (int)other, path);
    else if (errno == EPERM || errno == EACCES)
        log_error("pidfile %s: %s; it, or its directory, belongs to another user: remove it, "
                  "or set pidfile to a path in a directory that only this user can write to",
                  path, strerror(errno));
    else
        log_error("pidfile %s: %s", path, strerror(errno));
    return -1;
}

static void supervise_release(struct supervisor *sup)
{
    watch_release(&sup->watch);
    generation_unref(sup->current);
    recovery_free(sup->recoveries);
    tickets_release(sup->tickets);
    affinity_key_release(sup->affinity);
    object_remove(&sup->object);
}

static struct supervisor sup = {.pidfile_fd = -1};

/* Reads the configuration and opens what it needs. NULL after log lines; *code: why not. */
static struct conf *read_first(const char *conf_file, int *code)
{
    struct conf_errors errs = {0}, warnings = {0};
    struct conf *conf = conf_load(conf_file, &errs);

    *code = SUPERVISE_EXIT_CONFIG;
    if (!conf) {
        /* A lack of the host may be over at the next start: systemd is to try again. */
        if (errs.host)
            *code = SUPERVISE_EXIT_FAILURE;
        supervise_print_errors(&errs);
        return NULL;
    }
    logging_init(conf, "supervisor");
    examine_child_run(conf, EXAMINE_START, &errs, &warnings);
    errors_log_warnings(&warnings);
    if (errs.n == 0)
        return conf;
    supervise_print_errors(&errs);
    conf_free(conf);
    return NULL;
}

static int supervise_start(struct conf *conf)
{
    char object[TABLE_OBJECT_NAME];
    struct conf_errors errs = {0};
    int code = SUPERVISE_EXIT_FAILURE;

    table_object_name(object, *conf->pidfile ? conf->pidfile : sup.conf_file);
    sup.listeners.patience_ms = LISTENERS_PATIENCE_MS;
    sup.current = generation_new(conf, 1, &sup.slots, &sup.listeners, &errs);
    sup.listeners.patience_ms = 0;
    if (!sup.current) {
        for (size_t i = 0; i < errs.n; i++)
            log_error("%s", errs.v[i]);
        conf_errors_release(&errs);
        return code;
    }
    if (supervise_prepare(&sup, object) == 0)
        code = supervise_run(&sup);
    supervise_release(&sup);
    return code;
}

/* pidfile: as the running service was started; a reload does not change it. */
static int supervise_upgraded(int state)
{
    int code = supervise_go_on(&sup, state);
    const char *path = sup.pidfile;

    supervise_release(&sup);
    if (*path)
        pidfile_unlock(path, &sup.pidfile_fd);
    return code;
}

int supervise(const char *conf_file)
{
    int code, state = upgrade_inherited();

    open_standard();
    sink_adopt_standard();
    log_to_fd(STDERR_FILENO);
    sup.conf_file = conf_file;
    if (state >= 0)
        return supervise_upgraded(state);
    struct conf *conf = read_first(conf_file, &code);
    if (!conf)
        return code;
    oom_prefer(KIND_SUPERVISOR);
    privilege_prepare();
    privilege_limit();
    snprintf(sup.pidfile, sizeof sup.pidfile, "%s", conf->pidfile);
    events_block();
    if (*sup.pidfile && (sup.pidfile_fd = lock_pidfile(sup.pidfile)) < 0) {
        conf_free(conf);
        code = SUPERVISE_EXIT_FAILURE;
    } else {
        code = supervise_start(conf);
    }
    if (*sup.pidfile)
        pidfile_unlock(sup.pidfile, &sup.pidfile_fd);
    return code;
}
