/* What the files of the network half share: net/net.c (the process, acmed, the outcome),
 * net/net_post.c (requests, nonces, waiting), net/net_account.c and net/net_order.c (what is
 * said), net/net_proof.c (the challenges of an order), net/net_dns01.c (where a TXT record
 * belongs, and whether it is there).
 *
 * Functions return false after having noted why in net->failed; the first reason stays. */
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
    struct transport_reply reply;                  /* the last one */
    char nonces[NET_NONCES][TRANSPORT_NONCE_SIZE]; /* the newest one last */
    size_t n_nonces;
    struct acme_directory directory;
    char account_url[JOB_URL_SIZE], order_url[JOB_URL_SIZE];
    int64_t clock_off_ms;
    char left_out[4 * TABLE_NOTE]; /* a line for each optional part that the CA refused */
    char dns_missing[256];       /* what of dns-01 could not be seen before the CA was asked */
    struct job_problem failed;   /* type "": nothing yet */
    struct acme_problem problem; /* of the last reply that was none of success */
    struct ipc_done done;
};

static inline const struct ipc_begin *net_begin(const struct net *net)
{
    return &net->ask.begin;
}

/* ---- net/net.c */

/* Notes why the job fails, unless it is known already; always false. */
bool net_fail(struct net *net, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with what the CA said in its last reply. */
bool net_fail_by_ca(struct net *net);

/* Notes for people that an optional part of the order, or of the account, is left out. */
void net_leave_out(struct net *net, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Asks acmed. true: the answer is yes; its bytes hold until the next question. false: it is
 * no, which is no failure yet. Exits when acmed has gone. */
bool net_ask(struct net *net, const struct ipc_message *question, struct ipc_reply *reply);
void net_tell(struct net *net, const struct ipc_message *message);
bool net_progress(struct net *net, enum job_state state);

/* ---- net/net_post.c */

/* How a POST may be sent again when no sane reply came. */
enum net_resend {
    NET_ONCE, /* it makes something */
    NET_SAFE, /* sent twice, it does the same */
};

/* One POST, signed: resent with a fresh nonce for badNonce, and as `resend` allows. payload ""
 * is POST-as-GET. true: there is a reply, in net->reply; if its status is none of 2xx,
 * net->problem tells. false: failed. */
bool net_post(struct net *net, enum ipc_how how, const char *url, const char *payload,
              enum net_resend resend);
static inline bool net_succeeded(const struct net *net)
{
    return net->reply.status >= 200 && net->reply.status < 300;
}

/* A reply that says "not now". */
static inline bool net_not_now(const struct net *net)
{
    return net->reply.status == 429 || net->reply.status >= 500;
}

/* A plain GET: directory, renewalInfo. As net_post(). */
bool net_get(struct net *net, const char *url);

/* Waits before asking about an object again: as its Retry-After says, else 1, 2, 4, 8, 10, 10
 * s by the number of tries so far. false: its expires (0: none) or the job's deadline is
 * nearer. */
bool net_wait(struct net *net, unsigned tries, uint64_t expires_wall_ms);

/* Sleeps; ends the process if acmed goes. */
void net_sleep(struct net *net, uint64_t ms);

/* ---- net/net_order.c, net/net_proof.c */

/* The order cannot be gone on with; always false. */
static inline bool net_order_fails(struct net *net)
{
    net->failed.order_gone = true;
    return false;
}

/* Proves what its authorizations ask for, one after the other at each step. */
bool net_prove(struct net *net, const struct acme_order *order);

/* ---- net/net_dns01.c */

enum { NET_DNS_TARGET = 256 }; /* bytes of a name with its NUL */

struct net_dns_record {
    const char *target, *value;
    bool seen;
};

/* Where the TXT record of dns-01 for this name belongs. */
void net_dns_target(struct net *net, const char *name, char target[NET_DNS_TARGET]);

/* Looks until all can be seen, for begin->dns_wait_ms at most. What cannot is told in
 * net->dns_missing, and gone on with: the CA may see more than we do. */
void net_dns_await(struct net *net, struct net_dns_record *records, size_t n);

/* ---- net/net_account.c, net/net_order.c, net/net_preflight.c: one function for each kind of
 * job */
bool net_find_account(struct net *net);
/* The CA refuses what the account signs, and names nothing that it may be about: if that is
 * because the account is closed, the failure tells so instead. */
void net_doubt_account(struct net *net);
bool net_account(struct net *net);
bool net_rollover(struct net *net);
bool net_close_account(struct net *net);
bool net_revoke(struct net *net);
bool net_renewal_info(struct net *net);
bool net_issue(struct net *net);
bool net_preflight(struct net *net);

#endif
