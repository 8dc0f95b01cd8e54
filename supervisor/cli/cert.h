/* What the cert*.c files share. */
#ifndef SUPERVISOR_CLI_CERT_H
#define SUPERVISOR_CLI_CERT_H

struct cert_row;
struct service;

enum {
    CERT_LOOK_US = 20000,           /* between two looks at the table */
    CERT_HEARD_MS = 30000,          /* for acmed to accept the request */
    CERT_LIST_MS = 1000,            /* a list is wanted now */
    CERT_SETTLE_MS = 10000,         /* acmed needs as long to say that it is ready */
    CERT_ORDER_MS = 20 * 60 * 1000, /* a CA may take its time */
};

/* Signals the request `which` (enum cert_request) for the certificate at this index. Returns an
 * exit code, 1 after a message. */
int cert_ask(const struct service *service, int index, int which, int reason);

/* The acmed of a new configuration starts a moment after the reload: waits until it has
 * published its certificates, or for at most ms. */
void cert_settle(const struct service *service, unsigned ms);

/* Prints the result, from the row before and after; returns an exit code. */
int cert_tell(const struct cert_row *before, const struct cert_row *now, int which);

/* `cert renew --all`: asks for each certificate that is to be ordered, and prints the result of
 * each. 0: each was renewed or is not due; 1: one was not. which: CERT_RENEW or
 * CERT_RENEW_FORCE. */
int cert_renew_all(const struct service *service, int which);

#endif
