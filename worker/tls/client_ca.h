/* Certificates of clients (mTLS): what a listener asks for. From the settings client_cert,
 * client_ca, client_crl and client_depth, whose files the supervisor has read.
 *
 * Worker, and the supervisor's check of a configuration. */
#ifndef WORKER_TLS_CLIENT_CA_H
#define WORKER_TLS_CLIENT_CA_H

#include <stdbool.h>
#include <stddef.h>

struct conf_listen;

enum { TLS_CLIENT_CA_TEXT = 4352 }; /* bytes of a text with a path in it */

/* Checks the text of both files. 0; 1: they can be used, but err has a warning; -1: they
 * cannot, and err says why. Of a listener with client_cert only. */
int tls_client_ca_check(const struct conf_listen *listen, char *err, size_t n);

#endif
