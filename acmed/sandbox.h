/* Kernel filters for acmed's processes (base/sandbox.h), and self-tests that they work.
 *
 *   fork server, net   may use the network; no program, no writing of files, no other
 *                      process's memory or signals, no unix socket; net also no new
 *                      process, and not the store
 *   signer             acmed itself: may use keys and files; no network, no program, no
 *                      new process
 *
 * Once confined, each process tries what is forbidden; if that works, it logs this and ends. A
 * kernel without filters is logged and accepted; where it has them, a failure to load one ends
 * the process. */
#ifndef ACMED_SANDBOX_H
#define ACMED_SANDBOX_H

#include <stdbool.h>

/* Call first, in acmed. store: the directory that net must not see; "": none. Copied. */
void acmed_sandbox_init(const char *store);

/* Permanent; each is called in its own process. */
void acmed_sandbox_forkserver(void);
void acmed_sandbox_net(void);    /* after acmed_sandbox_forkserver(), in a child */
bool acmed_sandbox_signer(void); /* after everything was forked; true: it is confined */

#endif
