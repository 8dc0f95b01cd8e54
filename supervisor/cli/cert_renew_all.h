/* `pasgate cert renew --all`: every certificate that is to be ordered, with a line for each.
 * Command line only. */
#ifndef SUPERVISOR_CLI_CERT_RENEW_ALL_H
#define SUPERVISOR_CLI_CERT_RENEW_ALL_H

struct service;

/* Requests the renewal of each, and prints the result of each. 0: each was renewed or is not
 * due; 1: one was not. which: CERT_RENEW or CERT_RENEW_FORCE. */
int cert_renew_all(const struct service *service, int which);

#endif
