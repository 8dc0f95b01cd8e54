/* The jobs about an account and about what it may sign: JOB_ACCOUNT, JOB_ROLLOVER, JOB_CLOSE,
 * JOB_REVOKE, JOB_RENEWAL_INFO. In the network helper only. */
#ifndef ACMED_NET_NET_ACCOUNT_H
#define ACMED_NET_NET_ACCOUNT_H

#include "acmed/net/net_core.h"

/* Makes net->account_url known: finds or creates the account. */
bool net_find_account(struct net *net);
/* Called when the CA refused what the account signed, without naming an identifier: if the
 * account is closed, replaces the failure by one that says so. */
void net_doubt_account(struct net *net);

bool net_account(struct net *net);
bool net_rollover(struct net *net);
bool net_close_account(struct net *net);
bool net_revoke(struct net *net);
bool net_renewal_info(struct net *net);

#endif
