/* A request about a certificate: sending it, and printing its result. Command line only. */
#ifndef SUPERVISOR_CLI_CERT_REQUEST_H
#define SUPERVISOR_CLI_CERT_REQUEST_H

#include <stdbool.h>

struct cert_reply;
struct cert_row;
struct service;

enum {
    CERT_REQUEST_LOOK_US = 20000,           /* between two looks at the table */
    CERT_REQUEST_HEARD_MS = 30000,          /* for acmed to accept the request */
    CERT_REQUEST_SETTLE_MS = 10000,         /* acmed needs as long to say that it is ready */
    CERT_REQUEST_ORDER_MS = 20 * 60 * 1000, /* a CA may take its time */
};

/* Signals the request `which` (enum cert_request) for the certificate at this index. Returns an
 * exit code, 1 after a message. */
int cert_request_send(const struct service *service, int index, int which, int reason);

/* The acmed of a new configuration starts a moment after the reload: waits until it has
 * published its certificates, or for at most ms. */
void cert_request_settle(const struct service *service, unsigned ms);

/* The reply to this process's request, which it sent after it had read `before`; NULL: acmed
 * has not accepted it yet. Others may ask about the same certificate meanwhile. */
const struct cert_reply *cert_request_reply(const struct cert_row *before,
                                            const struct cert_row *now);
bool cert_request_ended(const struct cert_reply *reply);

/* Prints the result; returns an exit code. */
int cert_request_tell(const char *name, const struct cert_reply *reply);

#endif
