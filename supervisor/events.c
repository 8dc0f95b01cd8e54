/* Events from outside: signals from people and from the kernel, messages from children. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/message.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/signals.h"
#include "supervisor/stop.h"
#include "supervisor/supervise.h"
#include "supervisor/upgrade.h"

/* ---- signals */

static void reopen_logs(struct supervisor *sup)
{
    struct message message = {.type = MESSAGE_LOG};

    if (generation_reopen_access(sup->current) < 0) {
        log_error("cannot reopen %s: %s; the old file stays in use",
                  sup->current->conf->log.access_file, strerror(errno));
        return;
    }
    for (int r = 0; r < TABLE_WORKERS; r++)
        process_send(&sup->process[r], &message, sup->current->access_fd);
    log_info("log files reopened");
}

/* A request carries a number, so it has to be sent by sigqueue(), and only by root or our own
 * user. */
static bool accepts(const struct signalfd_siginfo *info, const char *what)
{
    int which = (int)info->ssi_signo - SIGRTMIN;

    if (info->ssi_uid != 0 && info->ssi_uid != geteuid())
        log_warn("signal RTMIN+%d from uid %u: refused, only root and uid %u may send it",
                 which, info->ssi_uid, geteuid());
    else if (info->ssi_code != SI_QUEUE)
        log_warn("signal RTMIN+%d from uid %u without a %s number: refused "
                 "(kill -q NUMBER -s RTMIN+%d PID)",
                 which, info->ssi_uid, what, which);
    else
        return true;
    return false;
}

static void on_override(struct supervisor *sup, const struct signalfd_siginfo *info)
{
    static const enum admin_state states[] = {
        [1] = ADMIN_DRAIN, [2] = ADMIN_READY, [4] = ADMIN_MAINT};
    int which = (int)info->ssi_signo - SIGRTMIN;

    if (!accepts(info, "backend"))
        return;
    if (which == SIGNAL_RESTART)
        recovery_request(sup, info->ssi_int, info->ssi_uid);
    else
        admin_override(sup, states[which], info->ssi_int, info->ssi_uid);
}

/* The same for a certificate, by its number in the configuration (1..); acmed carries it
 * out. */
static void on_cert_request(struct supervisor *sup, const struct signalfd_siginfo *info)
{
    static const char *const words[] = {[CERT_RENEW] = "renew",
                                        [CERT_RENEW_FORCE] = "renew",
                                        [CERT_ROLLBACK] = "roll back",
                                        [CERT_REVOKE] = "revoke",
                                        [CERT_ROLLOVER] = "change the account's key of",
                                        [CERT_DEACTIVATE] = "close the account of"};
    int which = (int)info->ssi_signo - SIGRTMIN;
    int number = info->ssi_int & ((1 << REASON_SHIFT) - 1);
    struct process *acmed = &sup->process[ROW_ACMED];
    struct message message = {.type = MESSAGE_CERT,
                              .which = (uint32_t)(which - SIGNAL_CERT + CERT_RENEW),
                              .number = (uint64_t)number - 1,
                              .value = (uint32_t)info->ssi_int >> REASON_SHIFT,
                              .body.pid = (int32_t)info->ssi_pid};

    if (!accepts(info, "certificate"))
        return;
    if (number < 1 || (uint64_t)number > sup->current->conf->n_certs ||
        message.value > REASON_LAST) {
        log_warn("signal RTMIN+%d from uid %u: refused, there is no certificate %d", which,
                 info->ssi_uid, info->ssi_int);
        return;
    }
    log_info("uid %u asks to %s certificate %s", info->ssi_uid, words[message.which],
             sup->current->conf->certs[message.number].name);
    if (acmed->generation != sup->current || process_send(acmed, &message, -1) < 0)
        log_warn("ignored: %s", sup->stopping                       ? "the service is stopping"
                                : acmed->generation != sup->current ? "a reload is in progress"
                                                                    : "acmed does not run now");
}

static void on_signal(struct supervisor *sup, const struct signalfd_siginfo *info)
{
    switch (info->ssi_signo) {
    case SIGCHLD:
        processes_reap(sup);
        return;
    case SIGTERM:
    case SIGQUIT:
        log_info("signal %s: %s", sigabbrev_np((int)info->ssi_signo),
                 sup->stopping ? "stops now" : "stops gracefully");
        stop_begin(sup, sup->stopping);
        return;
    case SIGINT:
        log_info("signal INT: stops now");
        stop_begin(sup, true);
        return;
    case SIGHUP:
        reload_request(sup);
        return;
    case SIGUSR1:
        reopen_logs(sup);
        return;
    case SIGUSR2:
        upgrade_request(sup);
        return;
    default:
        if ((int)info->ssi_signo > SIGRTMIN && (int)info->ssi_signo < SIGRTMIN + SIGNAL_CERT)
            on_override(sup, info);
        else if ((int)info->ssi_signo >= SIGRTMIN + SIGNAL_CERT &&
                 (int)info->ssi_signo <= SIGRTMIN + CONTROL_SIGNALS)
            on_cert_request(sup, info);
    }
}

static void on_signals(struct loop_source *source, uint32_t events)
{
    struct supervisor *sup = container_of(source, struct supervisor, signals);
    struct signalfd_siginfo info;

    (void)events;
    /* Signals that are left wake the loop again, so that children get their turn in between. */
    for (int i = 0;
         i < EVENTS_SIGNALS && read(source->fd, &info, sizeof info) == (ssize_t)sizeof info;
         i++)
        on_signal(sup, &info);
}

static void events_mask(sigset_t *set)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    static const int terminal[] = {SIGTSTP, SIGTTIN, SIGCONT};

    sigfillset(set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(set, faults[i]);
    for (size_t i = 0; i < sizeof terminal / sizeof *terminal; i++)
        sigdelset(set, terminal[i]);
}

void events_block(void)
{
    sigset_t set;

    events_mask(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGTTOU,
           SIG_IGN); /* otherwise a log line to the terminal would stop us in the background */
    /* If the parent process left SIGCHLD ignored, no child could be reaped. */
    signal(SIGCHLD, SIG_DFL);
}

int events_open(struct supervisor *sup)
{
    sigset_t set;

    events_mask(&set);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -1;
    sup->signals.ready = on_signals;
    return loop_add(&sup->loop, &sup->signals, fd, EPOLLIN);
}

/* ---- messages of children */

/* acmed cannot read files that only root may read: we open for it those that the configuration
 * names, and no others. */
static void open_pem(struct process *p, const struct message *asked)
{
    const struct conf *conf = p->generation->conf;
    struct message reply = {
        .type = MESSAGE_PEM, .which = asked->which, .number = asked->number, .value = EINVAL};
    struct stat st;
    int fd = -1;

    if (p->kind == KIND_ACMED && asked->number < conf->n_certs &&
        (asked->which == PEM_CHAIN || asked->which == PEM_KEY)) {
        const struct conf_cert *cert = &conf->certs[asked->number];

        fd = open(asked->which == PEM_CHAIN ? cert->chain : cert->key,
                  O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        reply.value = fd < 0 ? (uint64_t)errno : 0;
        if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
            fd_close(&fd);
            reply.value = EINVAL;
        }
    }
    process_send(p, &reply, fd);
    fd_close(&fd);
}

void events_message(struct process *p, const struct message *message)
{
    static struct log_gate gate; /* a compromised child may send any number of them */

    switch (message->type) {
    case MESSAGE_READY:
        process_event(p, CHILD_FSM_READY, &(struct child_fsm_input){.now_ms = clock_mono_ms()});
        break;
    case MESSAGE_OPEN_PEM:
        open_pem(p, message);
        break;
    case MESSAGE_RECOVER:
        if (p->kind != KIND_HEALTHD)
            goto not_for_us;
        recovery_request_healthd(p->sup, message->number, message->body.text);
        break;
    case MESSAGE_TOLD:
        if (p->kind != KIND_RESTARTER)
            goto not_for_us;
        recovery_told(p->sup, message->body.text);
        break;
    default:
    not_for_us:
        if (log_gate_open(&gate))
            log_warn("%s sent message %u, which the supervisor does not handle",
                     kind_name(p->kind), message->type);
    }
}
