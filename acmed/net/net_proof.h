/* The challenges of an order. In the network helper only. */
#ifndef ACMED_NET_NET_PROOF_H
#define ACMED_NET_NET_PROOF_H

#include "acmed/net/net_core.h"

/* Proves all pending authorizations; each step is done for all of them before the next step. */
bool net_prove(struct net *net, const struct acme_order *order);

#endif
