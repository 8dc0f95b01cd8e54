#include "supervisor/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "acmed/acmed.h"
#include "base/check.h"
#include "base/conf/conf.h"
#include "base/environment.h"
#include "base/log.h"
#include "healthd/healthd.h"
#include "healthd/restarter/restarter.h"
#include "supervisor/child_fsm.h"
#include "supervisor/confine_child.h"
#include "supervisor/logging.h"
#include "supervisor/oom.h"
#include "supervisor/signals.h"
#include "worker/login/verifier.h"
#include "worker/worker.h"

enum {
    LAUNCH_FDS = HERITAGE_LISTENERS + TABLE_WORKERS + 8, /* all that a heritage can name */
    EXIT_SETUP = 71, /* EX_OSERR: the child's set-up failed */
};

static const struct {
    void (*body)(const struct heritage *); /* does not return */
    void (*prepare)(void); /* loads what cannot be loaded under its filters; or NULL */
} kinds[KIND_COUNT] = {
    [KIND_WORKER] = {worker_main, worker_prepare},
    [KIND_HEALTHD] = {healthd_main, NULL},
    [KIND_ACMED] = {acmed_main, NULL},
    [KIND_RESTARTER] = {restarter_main, NULL},
};

static char *title_area;
static size_t title_size;

void launch_init(int argc, char **argv)
{
    char *end = argv[0];

    /* The strings of argv are contiguous; only that stretch is overwritten. */
    for (int i = 0; i < argc && argv[i] == end; i++)
        end += strlen(end) + 1;
    title_area = argv[0];
    title_size = (size_t)(end - argv[0]);
}

static void show_title(const struct heritage *h, const char *name)
{
    char comm[16];

    snprintf(comm, sizeof comm, "pasgate:%s", kind_name(h->kind));
    prctl(PR_SET_NAME, comm, 0, 0, 0);
    memset(title_area, 0, title_size);
    snprintf(title_area, title_size, "pasgate: %s #%u", name, h->generation);
}

static void reset_signals(void)
{
    /* Only the supervisor decides about a child's life, so a signal that a terminal, a process
     * manager or a careless `pkill -HUP pasgate` sends to all of us must not end it. TTOU and
     * the like would stop a child that logs to a terminal. */
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                  SIGUSR2, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t none;

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    for (int i = 1; i <= CONTROL_SIGNALS; i++)
        signal(SIGRTMIN + i, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int launch_by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_span(int from, int to)
{
    if (from > to || close_range((unsigned)from, (unsigned)to, 0) == 0)
        return;
    /* A kernel before 5.9, or a container that does not allow close_range(). */
    struct rlimit limit = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = from; fd <= to && (rlim_t)fd < limit.rlim_cur; fd++)
        close(fd);
}

/* Closes everything else: the supervisor's epoll, the pidfile, and the control sockets of other
 * children (whose end-of-file must report the supervisor's death). */
static void close_others(const struct heritage *h)
{
    int keep[LAUNCH_FDS], n = 0, from = 0;

    for (int fd = 0; fd <= 2; fd++)
        keep[n++] = fd;
    keep[n++] = h->control_fd;
    keep[n++] = h->doorbell_healthd;
    keep[n++] = h->doorbell_acmed;
    keep[n++] = h->access_fd;
    for (int i = 0; i < TABLE_WORKERS; i++)
        keep[n++] = h->doorbell[i];
    for (uint32_t i = 0; i < h->nlisteners; i++)
        keep[n++] = h->listener[i].fd;
    CHECK(n <= LAUNCH_FDS);
    qsort(keep, (size_t)n, sizeof *keep, launch_by_number);
    for (int i = 0; i < n; i++) {
        if (keep[i] < from)
            continue; /* -1, or named twice */
        close_span(from, keep[i] - 1);
        from = keep[i] + 1;
    }
    close_span(from, INT32_MAX);
}

static bool is_confined(enum kind kind)
{
    return kind == KIND_WORKER || kind == KIND_HEALTHD;
}

/* What the kind gives up, except for acmed, which has to fork its helpers before. */
static int launch_confine(struct heritage *h, const struct identity *identity)
{
    if (privilege_drop(identity) < 0)
        return -1;
    if (h->kind == KIND_RESTARTER)
        return 0;
    if (privilege_drop_capabilities() < 0)
        return -1;
    if (!is_confined(h->kind))
        return 0;
    if (h->kind == KIND_WORKER && verifier_start(h->conf) < 0) {
        log_error("cannot start the process that verifies passwords: %s", strerror(errno));
        return -1;
    }
    conf_forget_secrets(NULL, h->conf);
    environment_wipe();
    return confine_child(h->kind, h->conf, &h->sandbox);
}

static _Noreturn void launch_become(const struct heritage *heritage,
                                    const struct identity *identity)
{
    static struct heritage own;
    struct heritage *h = &own;
    char name[32];

    own = *heritage;

    if (h->kind == KIND_WORKER)
        snprintf(name, sizeof name, "worker %d", h->slot);
    else
        snprintf(name, sizeof name, "%s", kind_name(h->kind));
    setpgid(0, 0); /* Ctrl-C is for the supervisor only */
    reset_signals();
    rows_forget();
    logging_init(h->conf, name);
    if (table_seal(h->table, h->kind, h->row) < 0) {
        log_error("cannot seal the table: %s", strerror(errno));
        _exit(EXIT_SETUP);
    }
    h->sandbox = SANDBOX_TABLE;
    close_others(h);
    show_title(h, name);
    oom_prefer(h->kind);
    if (kinds[h->kind].prepare)
        kinds[h->kind].prepare();
    if (!is_confined(h->kind))
        conf_forget_secrets(h->conf, h->kind == KIND_RESTARTER ? h->conf : NULL);
    if (launch_confine(h, identity) < 0)
        _exit(EXIT_SETUP);
    kinds[h->kind].body(h);
    check_failed("a body returned", __FILE__, __LINE__);
}

pid_t launch(const struct heritage *heritage, const struct identity *identity)
{
    CHECK(heritage->kind < KIND_COUNT && kinds[heritage->kind].body);
    fflush(NULL); /* otherwise the child would write buffered output again */
    pid_t pid = fork();

    if (pid == 0)
        launch_become(heritage, identity);
    return pid;
}
