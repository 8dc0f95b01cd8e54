/* What the files of the network half share: net.c (the process, acmed, the outcome),
 * net_post.c (requests, nonces, waiting), net_account.c and net_order.c (what is said).
 *
 * Functions return false after having noted why in net->failed; the first reason stays. */
#ifndef ACMED_NET_INTERNAL_H
#define ACMED_NET_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/acme_json.h"
#include "acmed/ask.h"
#include "acmed/transport.h"

enum { NET_NONCES = 8 };

struct net {
    int fd;
    struct ask ask;                /* ASK_BEGIN; its texts are in `begin_packet` */
    char *begin_packet, *in, *out; /* ASK_MAX each */
    struct transport *transport;
    struct transport_reply reply;                  /* the last one */
    char nonces[NET_NONCES][TRANSPORT_NONCE_SIZE]; /* the newest one last */
    size_t n_nonces;
    struct acme_directory directory;
    char account_url[JOB_URL_SIZE], order_url[JOB_URL_SIZE];
    int64_t clock_off_ms;
    struct job_problem failed;   /* type "": nothing yet */
    struct acme_problem problem; /* of the last reply that was none of success */
    struct ask_done done;
};

static inline const struct ask_begin *net_begin(const struct net *net)
{
    return &net->ask.begin;
}

/* ---- net.c */

/* Notes why the job fails, unless it is known already; always false. */
bool net_fail(struct net *net, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with what the CA said in its last reply. */
bool net_fail_by_ca(struct net *net);

/* Asks acmed. true: the answer is yes; its bytes hold until the next question. false: it is
 * no, which is no failure yet. Exits when acmed has gone. */
bool net_ask(struct net *net, const struct ask *question, struct ask_answer *answer);
void net_tell(struct net *net, const struct ask *message);
bool net_progress(struct net *net, enum job_state state);

/* ---- net_post.c */

/* How a POST may be sent again when no sane reply came. */
enum net_resend {
    NET_ONCE, /* it makes something */
    NET_SAFE, /* sent twice, it does the same */
};

/* One POST, signed: resent with a fresh nonce for badNonce, and as `resend` allows. payload ""
 * is POST-as-GET. true: there is a reply, in net->reply; if its status is none of 2xx,
 * net->problem tells. false: failed. */
bool net_post(struct net *net, enum ask_how how, const char *url, const char *payload,
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

/* ---- net_account.c, net_order.c, net_preflight.c: one function for each kind of job */
bool net_find_account(struct net *net);
bool net_account(struct net *net);
bool net_rollover(struct net *net);
bool net_close_account(struct net *net);
bool net_revoke(struct net *net);
bool net_renewal_info(struct net *net);
bool net_issue(struct net *net);
bool net_preflight(struct net *net);

#endif
