/* What acmed's processes may not do, by kernel filters (base/sandbox.h), and that they tried
 * it.
 *
 *   nursery, net   the network, but no new program or file, nobody else's memory or process, no
 *                  unix socket; net also no process, and not the store
 *   signer         keys and files, but no network, no program and no process
 *
 * Each tries, once confined, what is forbidden; if it can be done after all, the process logs
 * it and ends. A kernel that has no filters is told of once, and gone on with. */
#ifndef ACMED_CONFINE_H
#define ACMED_CONFINE_H

/* First, in acmed: the folder that net shall not see; "": none. Copied. */
void confine_init(const char *store);

/* For good, each in its own process. */
void confine_nursery(void);
void confine_net(void);    /* after confine_nursery(), in a child */
void confine_signer(void); /* after everything was forked */

#endif
