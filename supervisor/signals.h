/* The real-time signals by which the command line asks the supervisor: SIGRTMIN + n, with a
 * number as sigqueue() value. 1 to 4 are about a backend (drain, ready, restart, maint), those
 * from SIGNAL_CERT on about a certificate, in the order of enum cert_request. */
#ifndef SUPERVISOR_SIGNALS_H
#define SUPERVISOR_SIGNALS_H

enum {
    SIGNAL_RESTART = 3,
    SIGNAL_CERT = 5, /* renew; then renew --force, rollback, revoke, rollover, deactivate */
    CONTROL_SIGNALS = 10, /* the last one */
};

enum {
    RESTART_FORCE = 1 << 16 /* added to the number: despite min_healthy */
};

/* Above the number of a certificate that is to be revoked: the reason, with its RFC 5280
 * number. */
enum { REASON_SHIFT = 16, REASON_LAST = 10 };

#endif
