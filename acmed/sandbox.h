/* What acmed's processes may not do, by kernel filters (base/sandbox.h), and that they tried
 * it.
 *
 *   nursery, net   the network, but no new program or file, nobody else's memory or process, no
 *                  unix socket; net also no process, and not the store
 *   signer         keys and files, but no network, no program and no process
 *
 * Each tries, once confined, what is forbidden; if it can be done after all, the process logs
 * it and ends. A kernel that has no filters is told of once, and gone on with. */
#ifndef ACMED_SANDBOX_H
#define ACMED_SANDBOX_H

/* First, in acmed: the folder that net shall not see; "": none. Copied. */
void acmed_sandbox_init(const char *store);

/* For good, each in its own process. */
void acmed_sandbox_forkserver(void);
void acmed_sandbox_net(void);    /* after acmed_sandbox_forkserver(), in a child */
void acmed_sandbox_signer(void); /* after everything was forked */

#endif
