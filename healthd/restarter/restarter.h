/* The restarter: the process that restarts one backend, and nothing else.
 *
 * Forked by the supervisor for heritage->action. It runs as the supervisor's user, who owns the
 * directory of the diagnostics and may use Docker or systemctl. First it saves diagnostics, for
 * at most RESTARTER_DIAGNOSTICS_MS. Then it acts, by the backend's restart settings: the Docker
 * Engine or a command, for at most restart.timeout, and for a command restart.stop_timeout
 * more. It reports the result to the supervisor in one MESSAGE_TOLD, and exits: 0 = the backend
 * was restarted, 1 = it was not, or the result is unknown.
 *
 * It writes to no row of the table. Once the action has begun it is finished, even if
 * the supervisor wants to stop or is gone: a backend that was stopped and not started is
 * the worst result of all. */
#ifndef HEALTHD_RESTARTER_RESTARTER_H
#define HEALTHD_RESTARTER_RESTARTER_H

struct heritage;

enum {
    RESTARTER_DIAGNOSTICS_MS = 5000,
    RESTARTER_GRACE_MS = 10000, /* for everything without a limit of its own: forks, files */
};

_Noreturn void restarter_main(const struct heritage *heritage);

#endif
