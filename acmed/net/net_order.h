/* JOB_ISSUE: an order from its account to its certificate. In the network helper only. */
#ifndef ACMED_NET_NET_ORDER_H
#define ACMED_NET_NET_ORDER_H

#include "acmed/net/net_core.h"

bool net_issue(struct net *net);

#endif
