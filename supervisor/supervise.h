/* What the parts of the supervisor share. One thread, one loop. It reads no bytes from the
 * network.
 *
 *   supervise.c              start, the state of the service
 *   stop.c                   the end of the service
 *   publish.c                rows that several parts change, the doorbell of workers
 *   process.c                rows of children: carries out what child_fsm.c decides
 *   reload.c                 trial of a new generation, commit or rollback
 *   lend.c                   the sockets of workers that do not serve
 *   events.c                 signals, and messages from children
 *   heartbeat.c              once a second: heartbeats, watchdog, repair of rows
 *   backend/admin.c          rows of backends, and the admin overrides
 *   backend/admin_stored.c   keeps the file of admin overrides
 *   backend/drain.c          progress and end of drains
 *   backend/recovery.c       restarts of backends: carries out backend/recovery_fsm.c */
#ifndef SUPERVISOR_SUPERVISE_H
#define SUPERVISOR_SUPERVISE_H

#include <limits.h>
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

    HEARTBEAT_LIMIT_MS = 10000, /* a child that is silent for so long has hung; its heartbeat is
                                   due every second, the rest is tolerance for a loaded host */
    SINGLE_DRAIN_MS = 5000,   /* time for healthd and acmed to finish when they are replaced */
    LEND_LATE_MS = 3000,      /* then another worker serves the sockets too */
    KILL_GRACE_MS = 1000,     /* added to the time that a draining child was given */
    DRAINING_GENERATIONS = 3, /* at most so many; then a reload waits */
    PROCESS_NAME = 64,        /* bytes of process_describe() */
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
    struct process *lent_to; /* the worker that serves our sockets too; NULL: none */
    uint32_t lent_incarnation;
    struct loop_source control; /* our end of the pair */
    struct loop_timer timer;    /* the timer of fsm */
};

/* What the rest of the supervisor does about children; set by supervise.c. So process.c calls
 * nothing above it by name. */
struct child_ops {
    void (*changed)(struct supervisor *sup); /* after each event of a child */
    void (*ready)(struct process *p);        /* it serves */
    /* A process of the trial ended before the commit, or could not be started: the reload has
     * failed. This also sees to the row of p. */
    void (*trial_ended)(struct process *p);
    /* wait_status -1: it could not be started. Its row is free. */
    void (*restarter_ended)(struct supervisor *sup, int wait_status);
    void (*message)(struct process *p, const struct message *message); /* texts end in NUL */
};

enum { ROW_HEALTHD = TABLE_WORKERS, ROW_ACMED, ROW_RESTARTER, ROWS };

struct supervisor {
    struct loop loop;
    struct object object; /* of the table; holds the lock by which commands find our pid */
    bool unnamed;         /* the object was removed from /dev/shm, and that was logged */
    struct table *table;
    const char *conf_file; /* absolute path */
    struct generation *current, *trial;
    struct slots slots;
    struct listeners listeners;
    struct ticket_ring *tickets;
    uint8_t *affinity;    /* the key of session tags */
    bool affinity_loaded; /* from a file: there may be sessions from before this start */
    struct process process[ROWS];
    const struct child_ops *ops;
    struct heritage heritage; /* for the next child; doorbells are set once */
    struct header_row header;
    struct watch watch;
    struct admin_overrides overrides;
    struct recovery_table *recoveries;
    struct loop_source signals;
    struct loop_timer heartbeat, rotation, drains;
    uint64_t heartbeat_due_ms, grace_until_ms, watchdog_ms, watchdog_due_ms;
    uint64_t overrides_retry_ms; /* when admin_retry() is due */
    bool reload_wanted;   /* a reload was requested while another one is in progress or waits */
    bool reload_waits;    /* this was logged */
    uint32_t reload_rows; /* worker rows that must be free before the next try; 0: none */
    bool upgrade_wanted, upgrade_waits; /* USR2; this was logged */
    int pidfile_fd;                     /* holds its lock; -1: none */
    char pidfile[PATH_MAX];             /* as at the start; "": none */
    bool stopping, ready_told;
    uint64_t restarter_until_ms; /* once stopping: how long the restarter is waited for */
    int exit_code;
    char status[200]; /* the last STATUS= sent to systemd */
};

/* ---- supervise.c */

/* Runs the service until it is told to stop. Returns the program's exit code. */
int supervise(const char *conf_file);

/* ---- process.c */

void processes_init(struct supervisor *sup, const struct child_ops *ops);
/* Starts a worker of a generation in a free row; false: no row is free. */
bool process_start_worker(struct supervisor *sup, struct generation *generation, int slot);
/* Starts healthd or acmed; its row must be empty. */
void process_start_single(struct supervisor *sup, int row);
/* Starts the restarter for one action, killed after limit_ms; its row must be empty. */
void process_start_restarter(struct supervisor *sup, const struct heritage_action *action,
                             uint64_t limit_ms);
void process_event(struct process *p, enum child_fsm_event event,
                   const struct child_fsm_input *input);
void process_drain(struct process *p, uint64_t limit_ms);
/* Reaps all processes that ended, including orphans when we are PID 1. */
void processes_reap(struct supervisor *sup);
uint32_t processes_free_rows(const struct supervisor *sup);
bool process_is_worker(const struct process *p);
/* Its name for people, with slot, generation and pid; written to out, which it returns. */
const char *process_describe(const struct process *p, char out[PROCESS_NAME]);
/* Did the child show within limit_ms that it is alive? */
bool process_is_alive(const struct process *p, uint64_t now, uint64_t limit_ms);
/* Sends to a child: 0 or -1. A child that does not read is left to its heartbeat. */
int process_send(struct process *p, const struct message *message, int fd);
void processes_send_workers(struct supervisor *sup, const struct message *message);
void process_send_tickets(struct process *p);

/* ---- reload.c */

/* On HUP, or when a watched file changed. */
void reload_request(struct supervisor *sup);
/* An upgrade that cannot begin: reported as a reload that failed, and releases errs. */
struct conf_errors;
void reload_refused(struct supervisor *sup, struct conf_errors *errs);
/* Begins a reload that was requested, when nothing prevents it. After each turn of the loop, so
 * that no reload begins in the middle of another step. */
void reload_continue(struct supervisor *sup);
void reload_on_ready(struct process *p);     /* for child_ops */
void reload_on_trial_end(struct process *p); /* for child_ops */
/* At a stop: forgets the trial; the caller stops its processes. */
void reload_forget(struct supervisor *sup);

/* ---- lend.c */

/* Lends the sockets of workers that do not serve to other workers, and takes them back. After
 * each event of a child, and once a second. */
void lend_sockets(struct supervisor *sup);
/* After a failed trial: hands the connections that wait in sockets of its workers only to a
 * worker, and closes these sockets. */
void lend_surplus(struct supervisor *sup);

/* ---- events.c */

enum { EVENTS_SIGNALS = 64 }; /* handled in one turn of the loop; then others have theirs */

/* From here on signals wait for events_open(). Before anybody can find our pid: HUP or USR1, of
 * `pasgate reload` or of a log rotation, would end a service that starts. */
void events_block(void);
int events_open(struct supervisor *sup);                               /* 0 or -1 */
void events_message(struct process *p, const struct message *message); /* for child_ops */

/* ---- heartbeat.c */

void heartbeat_start(struct supervisor *sup);

/* ---- backend/admin.c */

/* Publishes rows of backends that are new in the generation on trial. */
void admin_prepare(struct supervisor *sup, const struct generation *generation);
/* Publishes all rows of the generation that has just become current. */
void admin_commit(struct supervisor *sup, const struct generation *generation);
/* Loads the admin overrides from before a restart. Before the first commit. */
void admin_load(struct supervisor *sup);
/* Sets an operator's override for backend `number` (1..). */
void admin_override(struct supervisor *sup, enum admin_state override, int number, uid_t uid);
/* Every ADMIN_OVERRIDES_RETRY_MS, and at the end: reads and writes overrides that could not be
 * read or written (a failing or full disk). */
void admin_retry(struct supervisor *sup);

#endif
