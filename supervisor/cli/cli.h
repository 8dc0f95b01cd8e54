/* The subcommands of the program. Each gets the options that main() read and returns the
 * program's exit code: 0 good, 1 failed, 2 wrong usage, 3 a drain was cut, 78 wrong
 * configuration. */
#ifndef SUPERVISOR_CLI_CLI_H
#define SUPERVISOR_CLI_CLI_H

#include <stdbool.h>
#include <sys/types.h>

enum {
    CLI_OK = 0,
    CLI_FAILURE = 1,
    CLI_USAGE = 2,
    CLI_CUT = 3, /* drain --wait: it ended at drain_timeout */
    CLI_CONFIG = 78,
};

struct cli {
    const char *conf_file;  /* absolute where it exists */
    const char *backend;    /* number or name */
    bool dump, manual;      /* check */
    bool strict;            /* check: warnings are errors */
    bool json, watch, live; /* status */
    bool sandbox;           /* status: what each process may do */
    bool force;             /* cert renew, restart */
    bool wait;              /* drain, restart */
    const char *pool;       /* restart --rolling */
    bool all;               /* cert renew */
    bool dry_run;           /* cert import */
    const char *reason;     /* cert revoke; NULL: none given */
    const char *verb;       /* cert: list, renew, rollback, ... */
    const char *name;       /* cert: name of a certificate; import: a directory or file */
    const char *second;     /* cert import FILE: name of the certificate */
    const char *key;        /* cert import FILE: file of its key; NULL: the same file */
    const char *password;   /* cert import FILE: file with the password */
};

int cli_check(const struct cli *cli);
int cli_reload(const struct cli *cli);
int cli_status(const struct cli *cli);
int cli_why(const struct cli *cli);
int cli_drain(const struct cli *cli);
int cli_ready(const struct cli *cli);
int cli_maint(const struct cli *cli);
int cli_restart(const struct cli *cli);
int cli_cert(const struct cli *cli);
int cli_cert_import(const struct cli *cli); /* without a running service */
int cli_cert_delete(const struct cli *cli); /* with or without one */

/* The rest of `drain B --wait`: shows the progress of a drain until it ends (cli/drain.c). */
struct service;
int cli_drain_wait(const struct service *service, int slot);

/* ---- the running service, as the command line finds it (cli/service.c) */

struct table;

struct service {
    pid_t pid;
    int fd; /* of the object that has the table: its lock says whether the service lives */
    const struct table *table; /* read-only */
};

/* The whole of `status --sandbox` (cli/sandbox.c). false: nothing could be shown. */
bool cli_sandbox(const struct service *service);

/* Finds the service of a configuration file by the name of its table or, when the file cannot
 * be read at present, by the table that names that file. Only tables of root, of the caller and
 * of the service's user are trusted; the pid is that of the process that holds the lock on the
 * table, as the kernel reports it. Returns 0, or an exit code after a message. service_close()
 * also accepts one that was not found. */
int service_find(struct service *service, const char *conf_file);
void service_close(struct service *service);
/* Does its supervisor still hold the table's lock? Not so a process that has ended but is not
 * reaped, nor another one with its pid. */
bool service_alive(const struct service *service);

/* Has it begun to stop? Then prints that `what` is not done any more. */
bool service_stops(const struct service *service, const char *what);

/* Is its supervisor silent? Then prints that the request takes effect later. */
bool service_silent(const struct service *service);

/* The slot of a backend by number (1..) or name; -1 after a message. */
int service_backend(const struct service *service, const char *backend);

/* Is this backend in force yet? One of a reload that is in progress is not: then prints that.
 */
bool service_backend_in_force(const struct service *service, int slot);

#endif
