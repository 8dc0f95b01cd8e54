/* The operator's program: told when a certificate changed or cannot be had, and, for dns-01,
 * asked to publish a record. README.md ("The hook") is its contract, for who writes one. It
 * gets no arguments; its environment holds, besides ours,
 *
 *   PASGATE_EVENT        issued, renewed, expiring, failed, dns-put or dns-drop
 *   PASGATE_CERTIFICATE  its name in the configuration
 *   PASGATE_NAMES        its names, with spaces between
 *   PASGATE_CHAIN        path of fullchain.pem, of what is live
 *   PASGATE_KEY          path of key.pem
 *   PASGATE_ERROR        in plain words, or ""
 *   PASGATE_DNS_NAME     dns-*: _acme-challenge.NAME
 *   PASGATE_DNS_TARGET   dns-*: where the record belongs: that, or what a CNAME there leads to
 *   PASGATE_DNS_VALUE    dns-*: the text of the TXT record
 *   HOME, USER, LOGNAME  of the user that it runs as
 *
 * What it prints comes into the log, up to a hundred lines of each run. One at a time per
 * certificate; killed after HOOK_DEADLINE_MS. It is started by a process of
 * its own (helper/hook_runner.h), because acmed has no network and starts no programs; that
 * answers within HOOK_START_MS, else nothing here blocks. acmed only. */
#ifndef ACMED_HELPER_HOOK_H
#define ACMED_HELPER_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    HOOK_DEADLINE_MS = 120 * 1000, /* a DNS provider may need a minute */
    HOOK_ERRORS_MS = 3600 * 1000,  /* between two calls about trouble */
    HOOK_START_MS = 5000,          /* a busy host may need long for two forks */
    HOOK_WHY = 120,                /* bytes of why one failed, with a NUL */
};

struct hook {
    pid_t pid; /* 0: none runs */
    int fd;    /* to who looks after it, while it runs */
    uint64_t deadline_ms;
    char why[HOOK_WHY]; /* the last one failed, or could not be started: in plain words; "" */
};

struct hook_call {
    const char *program, *event, *certificate;
    const char *const *names;
    size_t n_names;
    const char *chain, *key, *error;               /* paths; "" or NULL: none */
    const char *dns_name, *dns_target, *dns_value; /* NULL: none */
};

/* Forks the process that starts this program, and no other: before any key is read. 0 or -1
 * with errno. Descriptor: POLLHUP when it has died; -1: none. */
int hook_open(const char *program);
int hook_fd(void);
void hook_close(void);

/* Could it be started, by us, now? NULL, or why not, until the next call. */
const char *hook_missing(const char *program);

/* 0; -1 with errno and hook->why: it could not be started, or another one still runs (EBUSY,
 * and why stays as it is). */
int hook_start(struct hook *hook, const struct hook_call *call, uint64_t now_ms);

enum hook_result { HOOK_IDLE, HOOK_RUNS, HOOK_GOOD, HOOK_BAD };

/* Looks after it: GOOD and BAD (another exit code than 0, a signal, the deadline) are told
 * once, BAD with hook->why. */
enum hook_result hook_poll(struct hook *hook, uint64_t now_ms);

/* Kills what runs. */
void hook_release(struct hook *hook);

#endif
