/* Requests to the CA: nonces, signing, sending again, waiting. In the network helper only. */
#ifndef ACMED_NET_NET_POST_H
#define ACMED_NET_NET_POST_H

#include "acmed/net/net_core.h"

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

/* An unsigned GET, for the directory and renewalInfo. Otherwise as net_post(). */
bool net_get(struct net *net, const char *url);

/* Waits before polling an object again: for its Retry-After, else 1, 2, 4, 8, 10, 10 s by the
 * number of tries so far. false: its expiry (0: none) or the job's deadline comes first. */
bool net_wait(struct net *net, unsigned tries, uint64_t expires_wall_ms);

#endif
