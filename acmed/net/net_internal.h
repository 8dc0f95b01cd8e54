/* Shared by the files of the network helper: net/net.c (process, acmed, result), net/net_post.c
 * (requests, nonces, waiting), net/net_account.c and net/net_order.c (account and order),
 * net/net_proof.c (challenges of an order), net/net_dns01.c (where a TXT record belongs, and
 * whether it is visible).
 *
 * Functions return false after recording the reason in net->failed; the first reason is
 * kept. */
#ifndef ACMED_NET_NET_INTERNAL_H
#define ACMED_NET_NET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/net/acme_json.h"
#include "acmed/net/ipc.h"
#include "acmed/net/transport.h"
#include "shm/table.h"

enum { NET_NONCES = 8 };

struct net {
    int fd;
    struct ipc_message ask;        /* IPC_BEGIN; its texts are in `begin_packet` */
    char *begin_packet, *in, *out; /* IPC_MAX each */
    struct transport *transport;
    struct transport_reply reply;                  /* of the last request */
    char nonces[NET_NONCES][TRANSPORT_NONCE_SIZE]; /* the newest one last */
    size_t n_nonces;
    struct acme_directory directory;
    char account_url[JOB_URL_SIZE], order_url[JOB_URL_SIZE];
    int64_t clock_off_ms;
    char left_out[4 * TABLE_NOTE]; /* a line for each optional part that the CA refused */
    char dns_missing[256]; /* which dns-01 records were not visible before the CA was asked */
    struct job_problem failed;   /* type "": no failure */
    struct acme_problem problem; /* of the last response whose status was not 2xx */
    struct ipc_done done;
};

static inline const struct ipc_begin *net_begin(const struct net *net)
{
    return &net->ask.begin;
}

/* ---- net/net.c */

/* Records why the job fails, unless a reason is recorded already. Always false. */
bool net_fail(struct net *net, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, with what the CA said in its last response. */
bool net_fail_by_ca(struct net *net);

/* Records, for people, that an optional part of the order or account was left out. */
void net_leave_out(struct net *net, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends a question to acmed. true: the reply is positive; its bytes are valid until the next
 * question. false: negative, which does not yet fail the job. Exits when acmed is gone. */
bool net_ask(struct net *net, const struct ipc_message *question, struct ipc_reply *reply);
void net_tell(struct net *net, const struct ipc_message *message);
bool net_progress(struct net *net, enum job_state state);

/* ---- net/net_post.c */

/* Whether a POST may be sent again when no usable response came. */
enum net_resend {
    NET_ONCE, /* it creates something */
    NET_SAFE, /* idempotent */
};

/* One signed POST. Sent again with a fresh nonce after badNonce, and as `resend` allows.
 * payload "" is POST-as-GET. true: there is a response, in net->reply; if its status is not
 * 2xx, net->problem holds the reason. false: failed. */
bool net_post(struct net *net, enum ipc_how how, const char *url, const char *payload,
              enum net_resend resend);
static inline bool net_succeeded(const struct net *net)
{
    return net->reply.status >= 200 && net->reply.status < 300;
}

/* The CA asks to come back later. */
static inline bool net_not_now(const struct net *net)
{
    return net->reply.status == 429 || net->reply.status >= 500;
}

/* An unsigned GET, for the directory and renewalInfo. Otherwise as net_post(). */
bool net_get(struct net *net, const char *url);

/* Waits before polling an object again: for its Retry-After, else 1, 2, 4, 8, 10, 10 s by the
 * number of tries so far. false: its expiry (0: none) or the job's deadline comes first. */
bool net_wait(struct net *net, unsigned tries, uint64_t expires_wall_ms);

/* Sleeps; exits if acmed is gone. */
void net_sleep(struct net *net, uint64_t ms);

/* ---- net/net_order.c, net/net_proof.c */

/* Marks the order as not resumable; always false. */
static inline bool net_order_fails(struct net *net)
{
    net->failed.order_gone = true;
    return false;
}

/* Proves all pending authorizations; each step is done for all of them before the next step. */
bool net_prove(struct net *net, const struct acme_order *order);

/* ---- net/net_dns01.c */

enum { NET_DNS_TARGET = 256 }; /* bytes of a name with its NUL */

struct net_dns_record {
    const char *target, *value;
    bool seen;
};

/* Where the TXT record of dns-01 for this name belongs: follows CNAMEs. */
void net_dns_target(struct net *net, const char *name, char target[NET_DNS_TARGET]);

/* Waits until all records are visible, for at most begin->dns_wait_ms. Those that are not are
 * named in net->dns_missing, and the job continues: the CA may see more than this host. */
void net_dns_await(struct net *net, struct net_dns_record *records, size_t n);

/* ---- net/net_account.c, net/net_order.c, net/net_preflight.c: one function per kind of job */
bool net_find_account(struct net *net);
/* Called when the CA refused what the account signed, without naming an identifier: if the
 * account is closed, replaces the failure by one that says so. */
void net_doubt_account(struct net *net);
bool net_account(struct net *net);
bool net_rollover(struct net *net);
bool net_close_account(struct net *net);
bool net_revoke(struct net *net);
bool net_renewal_info(struct net *net);
bool net_issue(struct net *net);
bool net_preflight(struct net *net);

#endif
