/* The inside of the supervisor: what its parts share. One thread, one loop; it
 * reads no network bytes, and of what children write only heartbeats and the
 * type of a message.
 *
 *   supervise.c  start, the end, the state of the service
 *   process.c    rows of children: carries out what child_fsm.c decides
 *   reload.c     trial of a new generation, commit or rollback; admin wishes at commit
 *   lend.c       the sockets of workers that do not serve
 *   events.c    signals and messages of children
 *   heartbeat.c      once a second: heartbeats, watchdog, the watched file
 *   backend/admin.c      rows of backends and the operator's wishes (kept by
 * backend/admin_overrides.c) backend/drain.c      how far drains have come, and their end
 *   backend/recovery.c    restarts of backends: carries out what backend/recovery_fsm.c decides
 * (backend/recovery.h) */
#ifndef SUPERVISOR_SUPERVISE_H
#define SUPERVISOR_SUPERVISE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "shm/heritage.h"
#include "shm/object.h"
#include "supervisor/backend/admin_overrides.h"
#include "supervisor/child_fsm.h"
#include "supervisor/generation.h"
#include "supervisor/watch.h"

struct message;
struct ticket_ring;

enum {
    SUPERVISE_EXIT_FAILURE = 1,
    SUPERVISE_EXIT_USAGE = 2,
    SUPERVISE_EXIT_CONFIG = 78, /* EX_CONFIG */

    HEARTBEAT_LIMIT_MS = 10000, /* a child that is silent for so long hangs; it beats every
                                   second, the rest is patience with a loaded host */
    SINGLE_DRAIN_MS = 5000,     /* healthd and acmed, to finish when they are replaced */
    LEND_LATE_MS = 3000,        /* so long silent: new connections go to another worker */
    KILL_GRACE_MS = 1000,       /* beyond the time that a draining child was given */
    DRAINING_GENERATIONS = 3,   /* more are not let pile up: a reload waits */
};

/* One row of children: at most one process at a time. */
struct process {
    struct supervisor *sup;
    struct child_fsm fsm;
    enum kind kind;
    int row, slot;
    struct generation *generation; /* NULL while the row is empty */
    pid_t pid;                     /* 0: none */
    uint32_t incarnation, restarts;
    int last_exit;
    uint64_t started_wall_ms, next_start_ms;
    struct process *lent_to; /* the worker that serves our sockets for us; NULL: none */
    uint32_t lent_incarnation;
    struct loop_source control; /* our end */
    struct loop_timer timer;    /* the one of fsm */
};

enum { ROW_HEALTHD = TABLE_WORKERS, ROW_ACMED, ROW_RESTARTER, ROWS };

struct supervisor {
    struct loop loop;
    struct object object; /* of the table; holds the lock that tells who we are */
    bool unnamed;         /* it lost its name, which was told */
    struct table *table;
    const char *conf_file; /* absolute */
    struct generation *current, *trial;
    struct slots slots;
    struct listeners listeners;
    struct ticket_ring *tickets;
    uint8_t *affinity;    /* the key of sessions' tags */
    bool affinity_loaded; /* it is from before this start: so may sessions be */
    struct process process[ROWS];
    struct heritage heritage; /* the one for the next child; bells are set once */
    struct header_row header;
    struct watch watch;
    struct admin_overrides wishes;
    struct recovery_table *healer;
    struct loop_source signals;
    struct loop_timer pulse, rotation, drains;
    uint64_t pulse_due_ms, grace_until_ms, watchdog_ms, watchdog_due_ms;
    uint64_t save_again_ms;
    bool reload_wanted;   /* HUP came while one was on its way, or must wait */
    bool reload_waits;    /* said so in the log */
    uint32_t reload_rows; /* it waits until so many rows are free; 0: for none */
    bool stopping, ready_told;
    int exit_code;
    char status[200]; /* the last STATUS= */
};

/* ---- supervise.c */

/* Runs the service until it is told to stop. The exit code of the program. */
int supervise(const char *conf_file);

void supervise_publish_header(struct supervisor *sup);
/* Looks whether the service is ready, or at its end. After each round of the loop. */
void supervise_check(struct supervisor *sup);
/* Begins a graceful stop, or with `now` kills. */
void supervise_stop(struct supervisor *sup, bool now);

/* ---- process.c */

void processes_init(struct supervisor *sup);
/* Starts a worker of a generation in a free row; false: there is none. */
bool process_start_worker(struct supervisor *sup, struct generation *generation, int slot);
/* Starts healthd or acmed; its row must be empty. */
void process_start_single(struct supervisor *sup, int row);
/* Starts the restarter for one action, killed after limit_ms; its row must be empty. Its end,
 * also when it could not be started, is told to recovery_restarter_ended(). */
void process_start_restarter(struct supervisor *sup, const struct heritage_action *action,
                             uint64_t limit_ms);
void process_event(struct process *p, enum child_fsm_event event,
                   const struct child_fsm_input *input);
void process_drain(struct process *p, uint64_t limit_ms);
/* Reaps all that ended, orphans as PID 1 too. */
void processes_reap(struct supervisor *sup);
uint32_t processes_free_rows(const struct supervisor *sup);
bool process_is_worker(const struct process *p);
void process_publish(const struct process *p);
/* Sends to a child: 0 or -1; one that does not read is left to its heartbeat. */
int process_send(struct process *p, const struct message *message, int fd);
void processes_send_workers(struct supervisor *sup, const struct message *message);
void processes_ring_workers(struct supervisor *sup);
void process_send_tickets(struct process *p);

/* ---- reload.c */

/* HUP, or a changed file. */
void reload_request(struct supervisor *sup);
/* Begins a reload that is wanted, when nothing stands in its way. After each round
 * of the loop, so that no reload begins in the middle of another step. */
void reload_continue(struct supervisor *sup);
void reload_on_ready(struct process *p);
/* A process of the trial ended before the commit: the reload failed. */
void reload_on_trial_death(struct process *p);
/* A stop: forgets the trial; its processes are stopped by the caller. */
void reload_forget(struct supervisor *sup);

/* ---- lend.c */

/* Lends the sockets of workers that do not serve to others, and takes them back. After each
 * event of a child, and once a second. */
void lend_sockets(struct supervisor *sup);
/* After a failed trial: closes the sockets that only its workers would have served, when what
 * waits in them was handed to a worker. */
void lend_surplus(struct supervisor *sup);

/* ---- events.c */

int events_open(struct supervisor *sup); /* signals; 0 or -1 */
void events_from_child(struct loop_source *source, uint32_t events);

/* ---- heartbeat.c */

void heartbeat_start(struct supervisor *sup);
/* Has the child shown within so many ms that it is alive? */
bool heartbeat_beats(const struct process *p, uint64_t now, uint64_t limit_ms);

/* ---- backend/admin.c */

/* Publishes rows of backends that are new in a generation on trial. */
void admin_prepare(struct supervisor *sup, const struct generation *generation);
/* Publishes all rows of a generation that is current from now on. */
void admin_commit(struct supervisor *sup, const struct generation *generation);
/* Takes what operators wished before a restart; before the first commit. */
void admin_load(struct supervisor *sup);
/* A signal's wish about backend `number` (1..). */
void admin_override(struct supervisor *sup, enum admin_state override, int number, uid_t uid);
/* Tries again to write wishes that could not be written (a full disk). */
void admin_save_again(struct supervisor *sup);
/* A wished drain has ended: after a restart of the service it is still so. */
void admin_drain_ended(struct supervisor *sup, int slot);

#endif
