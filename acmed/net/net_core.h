/* What all files of the network helper share: the state of a job, why it fails, the channel to
 * acmed, sleeping. The files above it, from below: net/net_post.h (requests, nonces, waiting);
 * net/net_account.h, net/net_dns01.h (where a TXT record belongs, and whether it is visible),
 * net/net_preflight.h; net/net_proof.h (challenges of an order); net/net_order.h; net/net.h
 * (the process), which calls the function of the job.
 *
 * Functions return false after recording the reason in net->failed; the first reason is
 * kept. */
#ifndef ACMED_NET_NET_CORE_H
#define ACMED_NET_NET_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/net/acme_json.h"
#include "acmed/net/ipc.h"
#include "acmed/net/options.h"
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

/* Whether the last response is a 2xx. */
static inline bool net_succeeded(const struct net *net)
{
    return net->reply.status >= 200 && net->reply.status < 300;
}

/* The CA asks to come back later. */
static inline bool net_not_now(const struct net *net)
{
    return net->reply.status == 429 || net->reply.status >= 500;
}

/* How the CA refused the last request; valid until the next one. */
static inline struct options_refusal net_refusal(const struct net *net)
{
    return (struct options_refusal){.type = net->problem.type,
                                    .status = net->reply.status,
                                    .has_retry_after = net->reply.has_retry_after};
}

/* Marks the order as not resumable; always false. */
static inline bool net_order_fails(struct net *net)
{
    net->failed.order_gone = true;
    return false;
}

/* Records why the job fails, unless a reason is recorded already. Always false. */
bool net_fail(struct net *net, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, with what the CA said in its last response. */
bool net_fail_by_ca(struct net *net);

/* The same, for an authorization that is neither pending nor valid, and has no error. */
bool net_fail_by_ended(struct net *net, enum acme_status status, const char *name);

/* Records, for people, that an optional part of the order or account was left out. */
void net_leave_out(struct net *net, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sends a question to acmed. true: the reply is positive; its bytes are valid until the next
 * question. false: negative, which does not yet fail the job. Exits when acmed is gone. */
bool net_ask(struct net *net, const struct ipc_message *question, struct ipc_reply *reply);
void net_tell(struct net *net, const struct ipc_message *message);
bool net_progress(struct net *net, enum job_state state);

/* Sleeps; exits if acmed is gone. */
void net_sleep(struct net *net, uint64_t ms);

#endif
