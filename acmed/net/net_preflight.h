/* JOB_PREFLIGHT: checks the names as a CA does. In the network helper only. */
#ifndef ACMED_NET_NET_PREFLIGHT_H
#define ACMED_NET_NET_PREFLIGHT_H

#include "acmed/net/net_core.h"

/* Findings are in net->done.info, for preflight_read(). */
bool net_preflight(struct net *net);

#endif
