/* The host names under which the status listener may be requested. Pure. */
#ifndef WORKER_STATUS_HOST_H
#define WORKER_STATUS_HOST_H

#include <stdbool.h>

#include "base/str.h"

struct conf;
struct conf_listen;

/* host: of the request, without port and brackets. Allowed are: none at all, addresses,
 * localhost, names without a dot (which nobody can register), the names of our certificates,
 * and `hosts` of the listener. */
bool status_host_allowed(const struct conf *, const struct conf_listen *, struct str host);

#endif
