/* The restarter: the process that restarts one instance, and that only.
 *
 * Forked by the supervisor for heritage->action, as the user of the
 * supervisor, whose folder the evidence is and who may use Docker or systemctl. First it saves
 * evidence, for at most RESTARTER_EVIDENCE_MS; then it acts, by the backend's restart settings:
 * the Docker Engine or a command, for at most restart.timeout, and a command for
 * restart.stop_timeout more. It tells the supervisor in one MESSAGE_TOLD what came of it, and
 * exits: 0 = the instance was restarted, 1 = it was not, or nobody knows.
 *
 * It writes to no row of the table. Once the action began it is finished, even
 * if the supervisor wants to stop or is gone: an instance that was stopped and
 * not started is the worst end of all. */
#ifndef HEALTHD_RESTARTER_RESTARTER_H
#define HEALTHD_RESTARTER_RESTARTER_H

struct heritage;

enum {
    RESTARTER_EVIDENCE_MS = 5000,
    RESTARTER_GRACE_MS = 10000, /* for all that has no limit of its own: forks, files */
};

_Noreturn void restarter_main(const struct heritage *heritage);

#endif
