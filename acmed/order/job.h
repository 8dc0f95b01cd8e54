/* Jobs: one conversation with a CA each, as acmed sees it. acmed only.
 *
 *   acmed: keys, store, schedule, rows          acmed-net: the network, no key, no file
 *     job_start() --------- begin -------------->  runs one conversation, step by step
 *     job_serve() <-------- questions -----------  "sign this", "the CSR, please",
 *                 --------- answers ------------>  "show this challenge", "write this down"
 *                 <-------- done, or failed -----
 *
 * job_open() forks the nursery of the network half. It is called before acmed has read any
 * key, so that no key is in what the network half got by fork; the nursery forks one process
 * per job, which ends with it. Closing a run's socket ends that process at once.
 *
 * Questions that need no decision (signatures, CSR, http-01 and tls-alpn-01 rows) are answered
 * inside job_serve(). The others come out as events. Nothing here blocks. */
#ifndef ACMED_ORDER_JOB_H
#define ACMED_ORDER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/key/signer.h"
#include "base/str.h"

struct table;
struct job_run;

enum {
    JOB_NAMES_MAX = 100,              /* names of one certificate: what CAs allow at most */
    JOB_URL_SIZE = 1024,              /* bytes of a URL with its NUL */
    JOB_TEXT_SIZE = 512,              /* of a problem's detail */
    JOB_CHAIN_MAX = 64 * 1024,        /* of a PEM chain: 20 times the usual */
    JOB_DEADLINE_MS = 30 * 60 * 1000, /* of a job that names none */
    JOB_CHALLENGES = 3,
};

enum job_kind {
    JOB_ISSUE = 1,    /* account if need be, order, challenges, certificate */
    JOB_ACCOUNT,      /* makes the account, or finds it; brings its contact up to date */
    JOB_ROLLOVER,     /* the account gets keys.next_account */
    JOB_CLOSE,        /* deactivates the account, for ever */
    JOB_REVOKE,       /* revokes job.certificate */
    JOB_RENEWAL_INFO, /* asks for ARI of job.renewal_id; needs no account */
    JOB_PREFLIGHT,    /* looks at job.names as the CA will: needs no key (net/preflight.h) */
    JOB_KINDS
};

enum job_challenge { JOB_HTTP_01 = 1, JOB_TLS_ALPN_01, JOB_DNS_01, JOB_CHALLENGE_KINDS };

/* What to do. All texts are copied by job_start(); "" or NULL: not given. */
struct job {
    enum job_kind kind;
    const char *directory; /* https URL */
    const char *ca_file;   /* PEM file of roots for the CA's own TLS; "": those of the system */
    const char *contact;   /* an email address, without "mailto:" */
    bool agree_tos;
    bool profile_required;   /* never order without the profile */
    const char *account_url; /* known from an earlier job */
    bool account_must_exist; /* onlyReturnExisting: never make a new one */
    const char *eab_kid;     /* keys.eab_hmac goes with it */

    /* JOB_ISSUE */
    const char *const *names; /* DNS names, wildcards, IP addresses */
    size_t n_names;
    const char *profile;
    const char *preferred_chain; /* common name of an issuer: the chain that ends in it */
    const char *replaces;        /* ARI id; left out if the CA has no renewalInfo */
    const char *order_url;       /* go on with this order if it still can be */
    enum job_challenge challenges[JOB_CHALLENGES]; /* in order of preference; 0: no more */

    /* JOB_REVOKE: PEM, the leaf first. Signed by the account; without an account_url and
     * keys.account by the certificate's key, keys.certificate. */
    struct str certificate;
    unsigned reason; /* RFC 5280 section 5.3.1 */

    const char *renewal_id; /* JOB_RENEWAL_INFO: AKI "." serial, as RFC 9773 writes it */

    /* JOB_PREFLIGHT, with names and challenges; of JOB_ISSUE for dns-01. */
    uint16_t http_port;   /* where http-01 is looked for */
    const char *resolver; /* "192.0.2.53:53"; "": the system's */
    uint64_t dns_wait_ms; /* JOB_ISSUE: how long to look for TXT records; 0: not at all */

    uint64_t deadline_ms; /* for the whole job, from now; 0: JOB_DEADLINE_MS */
};

/* How far a JOB_ISSUE has come. */
enum job_state {
    JOB_STATE_ACCOUNT = 1, /* account_url is known; next, an order is made: "may I?" */
    JOB_STATE_ORDERED,     /* order_url is known, maybe another one than before: keep it */
    JOB_STATE_VALIDATED,   /* every name is proved */
    JOB_STATE_FINALIZED,   /* the CSR was accepted */
    JOB_STATES
};

/* Why a job failed. Texts of the CA are bounded, and hold printable ASCII only. */
struct job_problem {
    char type[128]; /* without "urn:ietf:params:acme:error:"; ours: "net.*", see below */
    char detail[JOB_TEXT_SIZE];
    char name[256];               /* the identifier that it is about, or "" */
    uint32_t status;              /* of HTTP; 0: none */
    uint32_t retry_after_s;       /* 0: the CA did not say */
    bool order_gone;              /* the order cannot be gone on with: forget its URL */
    bool account_gone;            /* accountDoesNotExist: forget the account's URL */
    bool account_closed;          /* it is there, and the CA takes nothing of it any more */
    enum job_challenge challenge; /* what did not prove the name; 0: it was not about that */
};
/* Types of our own:
 *   "net.connect"   could not reach the CA (resolve, connect, TLS, timeout)
 *   "net.answer"    the CA said what cannot be: bad JSON, bad status, too much
 *   "net.config"    it cannot be done so: terms not agreed to, EAB missing, no challenge fits
 *   "net.chain"     the chain does not fit key, names or dates
 *   "net.refused"   job_reply(run, false)
 *   "net.hook"      the operator's hook did not publish a record (of order/issue.c)
 *   "net.preflight" held back before the CA was asked (of order/issue.c)
 *   "net.deadline"  the job, or an object of the CA, ran out of time
 *   "net.broken"    the network half ended, or said nonsense */

enum job_event_type {
    JOB_NOTHING,  /* no event now */
    JOB_PROGRESS, /* write it down, then job_reply() */
    JOB_DNS_PUT,  /* dns-01: publish TXT `value` at `target`, then job_reply() */
    JOB_DNS_DROP, /* this run does not need it any more; no answer */
    JOB_DONE,     /* the run is over: job_end() */
    JOB_FAILED,   /* the run is over: job_end() */
};

/* Pointers hold until the next job_serve() or job_end() of the run. */
struct job_event {
    enum job_event_type type;

    /* JOB_PROGRESS, JOB_DONE: what is known so far; "" when not. */
    enum job_state state;
    const char *account_url, *order_url;

    /* JOB_DNS_*. target: _acme-challenge.`name`, or where a CNAME there leads to. */
    const char *name, *target, *value;

    /* JOB_DONE of JOB_ISSUE: PEM, leaf first, checked against key, names and dates; and what
     * proved the names, 0 if nothing had to. */
    struct str chain;
    enum job_challenge challenge;

    /* JOB_DONE of JOB_RENEWAL_INFO: the document as it came, and what it says. The window is
     * 0..0 when it says nothing that could be. JOB_DONE of JOB_PREFLIGHT: what it found, for
     * preflight_read(). JOB_DONE of JOB_ISSUE: a line for each optional part that was left out
     * because the CA refused it. */
    struct str info;
    uint64_t window_start_wall_ms, window_end_wall_ms;
    const char *explanation; /* URL for people, "" if none */
    uint32_t retry_after_s;  /* 0: none */

    /* JOB_PROGRESS, JOB_DONE, JOB_FAILED: the CA's Date less our clock; 0 when not known. */
    int64_t clock_off_ms;

    struct job_problem problem; /* JOB_FAILED */
};

/* Forks the nursery. Its descriptor, or -1 with errno. EOF on it (POLLHUP) means that the
 * nursery died: close and open it again. */
int job_open(void);

/* Starts a conversation. The keys and the table are borrowed until job_end(). NULL with
 * errno: no memory or descriptors, or EINVAL: the job is not one that can be run (say, keys
 * that do not parse). */
struct job_run *job_start(int nursery, const struct job *job, const struct signer_keys *keys,
                          struct table *table);

/* What to poll for POLLIN, and when to call job_serve() at the latest (monotonic). */
int job_fd(const struct job_run *run);
uint64_t job_due_ms(const struct job_run *run);

/* Takes what has come. Call it until it gives JOB_NOTHING. */
void job_serve(struct job_run *run, struct job_event *event);

/* Answers JOB_PROGRESS and JOB_DNS_PUT. false: the job fails with net.refused. */
void job_reply(struct job_run *run, bool go_on);

/* Ends the conversation, wherever it is, and clears its challenges. Takes NULL. */
void job_end(struct job_run *run);

#endif
