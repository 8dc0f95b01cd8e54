/* What the cli_cert*.c files share. */
#ifndef SUPERVISOR_CLI_CERT_H
#define SUPERVISOR_CLI_CERT_H

struct cert_row;
struct service;

enum {
    CERT_LOOK_US = 20000,           /* between two looks at the table */
    CERT_HEARD_MS = 30000,          /* acmed only has to look at it */
    CERT_LIST_MS = 1000,            /* a list is wanted now */
    CERT_SETTLE_MS = 10000,         /* acmed says that it is ready after as long */
    CERT_ORDER_MS = 20 * 60 * 1000, /* a CA may take its time */
};

/* Signals what (enum cert_request) is asked of the certificate at this index. An exit code, 1
 * after a message. */
int cert_ask(const struct service *service, int index, int which, int reason);

/* The acmed of a new configuration begins a moment after the reload: waits until it has shown
 * its certificates, or for so long. */
void cert_settle(const struct service *service, unsigned ms);

/* Says what came of it, by the row before and after; an exit code. */
int cert_tell(const struct cert_row *before, const struct cert_row *now, int which);

/* `cert renew --all`: asks for each certificate that is to be ordered, and says what came of
 * each. 0: each was renewed, or is not due; 1: one was not. which: CERT_RENEW or
 * CERT_RENEW_FORCE. */
int cert_renew_all(const struct service *service, int which);

#endif
