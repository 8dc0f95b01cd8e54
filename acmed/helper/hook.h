/* The hook: the operator's program. It is called when a certificate changed or cannot be
 * obtained and, for dns-01, to publish or remove a record. docs/certificates.md ("The hook")
 * is the contract for those who write one. It gets no arguments. Its environment is ours plus
 *
 *   PASGATE_EVENT        issued, renewed, expiring, failed, dns-put or dns-drop
 *   PASGATE_CERTIFICATE  its name in the configuration
 *   PASGATE_NAMES        its names, separated by spaces
 *   PASGATE_CHAIN        path of the live fullchain.pem
 *   PASGATE_KEY          path of the live key.pem
 *   PASGATE_ERROR        in plain words, or ""
 *   PASGATE_DNS_NAME     dns-*: _acme-challenge.NAME
 *   PASGATE_DNS_TARGET   dns-*: where the record belongs: that name, or where a CNAME points
 *   PASGATE_DNS_VALUE    dns-*: the text of the TXT record
 *   HOME, USER, LOGNAME  of the user that it runs as
 *
 * An event is called for again after acmed or the process that runs the hook was killed, at
 * most HOOK_CALLS times in all, and after a reload or stop that cut the call, at most HOOK_CUTS
 * times. The output is logged, at most a hundred lines per run. One run
 * at a time per certificate; killed after HOOK_DEADLINE_MS. A separate process
 * (helper/hook_runner.h) starts it, because acmed has no network and starts no programs.
 * Starting and killing a run wait at most HOOK_START_MS for that process; nothing else here
 * blocks. acmed only. */
#ifndef ACMED_HELPER_HOOK_H
#define ACMED_HELPER_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HOOK_DEADLINE_MS = 120 * 1000, /* a DNS provider may need a minute */
    HOOK_ERRORS_MS = 3600 * 1000,  /* between two calls about failures */
    HOOK_START_MS = 5000,          /* a busy host may need long for two forks */
    HOOK_CALLS = 3,                /* for one event, if acmed or the runner dies in each */
    HOOK_CUTS = 10,                /* likewise, if each is cut by a reload or stop */
    HOOK_WHY = 120,                /* bytes of the reason for a failure, with its NUL */
};

struct hook {
    pid_t pid; /* 0: none runs */
    int fd;    /* to the process that runs it */
    uint64_t deadline_ms;
    char why[HOOK_WHY]; /* why the last run failed or could not be started; "" */
};

struct hook_call {
    const char *program, *event, *certificate;
    const char *const *names;
    size_t n_names;
    const char *chain, *key, *error;               /* paths; "" or NULL: none */
    const char *dns_name, *dns_target, *dns_value; /* NULL: none */
};

/* Forks the process that starts this program and no other; call it before any key is read. 0 or
 * -1 with errno. hook_fd(): POLLHUP when that process has died; -1: none. */
int hook_open(const char *program);
int hook_fd(void);
void hook_close(void);

/* NULL: we could start it now. Else the reason why not, valid until the next call. */
const char *hook_missing(const char *program);

/* 0; -1 with errno and hook->why: it could not be started, or another run is active (EBUSY; why
 * is unchanged). ECANCELED: whether it was started is not known, see HOOK_LOST. */
int hook_start(struct hook *hook, const struct hook_call *call, uint64_t now_ms);

enum hook_result { HOOK_IDLE, HOOK_RUNS, HOOK_GOOD, HOOK_BAD, HOOK_LOST };

/* Checks the run: GOOD, BAD (non-zero exit code, a signal, the deadline) and LOST (the process
 * that runs it was killed: how the run ended is not known) are returned once, the last two with
 * hook->why. */
enum hook_result hook_poll(struct hook *hook, uint64_t now_ms);

/* Kills the run, if any. */
void hook_release(struct hook *hook);

#endif
