/* The name of the user that a request names by HTTP Basic. Worker only. */
#ifndef WORKER_EXCHANGE_USER_H
#define WORKER_EXCHANGE_USER_H

#include "base/str.h"

struct exchange;

/* Empty: none, or its route has no users. Whether the password was right is in x->logged_in.
 * Valid until the next call. */
struct str exchange_user(const struct exchange *x);

#endif
