/* Jobs: each is one conversation with a CA, as acmed sees it. acmed only.
 *
 *   acmed: keys, store, schedule, rows          acmed-net: the network, no key, no file
 *     job_start() --------- begin -------------->  runs one conversation, step by step
 *     job_serve() <-------- questions -----------  "sign this", "make the CSR",
 *                 --------- replies ------------>  "publish this challenge", "store this"
 *                 <-------- done, or failed -----
 *
 * job_open() forks the fork server of the network helper. It is called before acmed has read
 * any key, so that the network helper inherits no key. The fork server forks one process per
 * job, which ends with the job. Closing a run's socket ends that process at once.
 *
 * Questions that need no decision (signatures, CSR, http-01 and tls-alpn-01 rows) are answered
 * inside job_serve(). The others are returned as events. Nothing here blocks. */
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
    JOB_NAMES_MAX = 100,              /* names of one certificate: the most that CAs allow */
    JOB_URL_SIZE = 1024,              /* bytes of a URL with its NUL */
    JOB_TEXT_SIZE = 512,              /* of a problem's detail */
    JOB_CHAIN_MAX = 64 * 1024,        /* of a PEM chain: 20 times the usual */
    JOB_DEADLINE_MS = 30 * 60 * 1000, /* of a job that sets none */
    JOB_CHALLENGES = 3,
};

enum job_kind {
    JOB_ISSUE = 1,    /* account if needed, order, challenges, certificate */
    JOB_ACCOUNT,      /* creates or finds the account; updates its contact */
    JOB_ROLLOVER,     /* makes keys.next_account the account's key */
    JOB_CLOSE,        /* deactivates the account permanently */
    JOB_REVOKE,       /* revokes job.certificate */
    JOB_RENEWAL_INFO, /* gets the ARI window of job.renewal_id; needs no account */
    JOB_PREFLIGHT,    /* checks job.names as the CA will; needs no key (net/preflight.h) */
    JOB_KINDS
};

enum job_challenge { JOB_HTTP_01 = 1, JOB_TLS_ALPN_01, JOB_DNS_01, JOB_CHALLENGE_KINDS };

/* Describes a job. job_start() copies all texts; "" or NULL: not given. */
struct job {
    enum job_kind kind;
    const char *directory; /* https URL */
    const char *ca_file;   /* PEM file of roots for the CA's own TLS; "": those of the system */
    const char *contact;   /* an email address, without "mailto:" */
    bool agree_tos;
    bool profile_required;   /* fail instead of ordering without the profile */
    const char *account_url; /* known from an earlier job */
    bool account_must_exist; /* onlyReturnExisting: never create a new one */
    const char *eab_kid;     /* used with keys.eab_hmac */

    /* JOB_ISSUE */
    const char *const *names; /* DNS names, wildcards, IP addresses */
    size_t n_names;
    const char *profile;
    const char *preferred_chain; /* prefer the chain with an issuer of this common name */
    const char *replaces;        /* ARI id; left out if the CA has no renewalInfo */
    const char *order_url;       /* resume this order if possible */
    enum job_challenge challenges[JOB_CHALLENGES]; /* in order of preference; 0: no more */

    /* JOB_REVOKE: PEM, the leaf first. Signed by keys.account if account_url is set, else by
     * the certificate's own key, keys.certificate. */
    struct str certificate;
    unsigned reason; /* RFC 5280 section 5.3.1 */

    const char *renewal_id; /* JOB_RENEWAL_INFO: AKI "." serial, as RFC 9773 writes it */

    /* JOB_PREFLIGHT, with names and challenges; resolver also for JOB_ISSUE with dns-01. */
    uint16_t http_port;   /* where http-01 is checked */
    const char *resolver; /* "192.0.2.53:53"; "": the system's */
    uint64_t dns_wait_ms; /* JOB_ISSUE: how long to look for TXT records; 0: do not look */

    uint64_t deadline_ms; /* for the whole job, from now; 0: JOB_DEADLINE_MS */
};

/* The progress of a JOB_ISSUE. */
enum job_state {
    JOB_STATE_ACCOUNT = 1, /* account_url is known; asks permission to create an order */
    JOB_STATE_ORDERED,     /* order_url is known, maybe a new one: store it */
    JOB_STATE_VALIDATED,   /* every name is proved */
    JOB_STATE_FINALIZED,   /* the CSR was accepted */
    JOB_STATES
};

/* Why a job failed. Texts from the CA are bounded and hold printable ASCII only. */
struct job_problem {
    char type[128]; /* without "urn:ietf:params:acme:error:"; ours: "net.*", see below */
    char detail[JOB_TEXT_SIZE];
    char name[256];               /* the identifier concerned, or "" */
    uint32_t status;              /* HTTP status; 0: none */
    uint32_t retry_after_s;       /* 0: the CA did not say */
    bool order_gone;              /* the order cannot be resumed: forget its URL */
    bool account_gone;            /* accountDoesNotExist: forget the account's URL */
    bool account_closed;          /* the account exists, but the CA accepts nothing from it */
    enum job_challenge challenge; /* what did not prove the name; 0: not about a challenge */
};
/* Types of our own:
 *   "net.connect"   could not reach the CA (resolve, connect, TLS, timeout)
 *   "net.response"  invalid response from the CA: bad JSON, bad status, too large
 *   "net.config"    cannot work as configured: terms not accepted, no EAB, no challenge fits
 *   "net.chain"     the chain does not fit key, names or dates
 *   "net.authorization"  the CA ended an authorization without validating it
 *   "net.refused"   job_reply(run, false)
 *   "net.hook"      the operator's hook did not publish a record (set by order/issue.c)
 *   "net.deadline"  the job, or an object of the CA, ran out of time
 *   "net.broken"    the network helper ended or sent an invalid message */

enum job_event_type {
    JOB_NOTHING,  /* no event now */
    JOB_PROGRESS, /* store it, then job_reply() */
    JOB_DNS_PUT,  /* dns-01: publish TXT `value` at `target`, then job_reply() */
    JOB_DNS_DROP, /* this run no longer needs it; no reply */
    JOB_DONE,     /* the run is over: job_end() */
    JOB_FAILED,   /* the run is over: job_end() */
};

/* Pointers are valid until the next job_serve() or job_end() of the run. */
struct job_event {
    enum job_event_type type;

    /* JOB_PROGRESS, JOB_DONE: what is known so far; "": not known. */
    enum job_state state;
    const char *account_url, *order_url;

    /* JOB_DNS_*. target: _acme-challenge.`name`, or where a CNAME there points. */
    const char *name, *target, *value;

    /* JOB_DONE of JOB_ISSUE: PEM, leaf first, checked against key, names and dates; and the
     * challenge kind that proved the names, 0: nothing had to be proved. */
    struct str chain;
    enum job_challenge challenge;

    /* JOB_DONE of JOB_RENEWAL_INFO: the document as received, and its content; the window is
     * 0..0 when it is invalid. JOB_DONE of JOB_PREFLIGHT: the findings, for preflight_read().
     * JOB_DONE of JOB_ISSUE: a line for each optional part that was left out because the CA
     * refused it. */
    struct str info;
    uint64_t window_start_wall_ms, window_end_wall_ms;
    const char *explanation; /* URL for people; "": none */
    uint32_t retry_after_s;  /* 0: none */

    /* JOB_PROGRESS, JOB_DONE, JOB_FAILED: the CA's Date minus our clock; 0: unknown. */
    int64_t clock_off_ms;

    struct job_problem problem; /* JOB_FAILED */
};

/* Forks the fork server. Returns its descriptor, or -1 with errno. EOF on it (POLLHUP) means
 * that the fork server died: close it and call job_open() again. */
int job_open(void);

/* Starts a conversation. The keys and the table are borrowed until job_end(). NULL with errno:
 * no memory or descriptors; EINVAL: the job cannot be run (for example, a key does not
 * parse). */
struct job_run *job_start(int forkserver, const struct job *job, const struct signer_keys *keys,
                          struct table *table);

/* The descriptor to poll for POLLIN, and the latest time for job_serve() (monotonic). */
int job_fd(const struct job_run *run);
uint64_t job_due_ms(const struct job_run *run);

/* Reads the next message. Call it until it returns JOB_NOTHING: nothing is there, or it is the
 * turn of others, and the descriptor is still readable. */
void job_serve(struct job_run *run, struct job_event *event);

/* Replies to JOB_PROGRESS and JOB_DNS_PUT. false: the job fails with net.refused. */
void job_reply(struct job_run *run, bool go_on);

/* Ends the conversation in whatever state, and clears its challenges. Takes NULL. */
void job_end(struct job_run *run);

#endif
