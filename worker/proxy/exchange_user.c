#include "worker/proxy/exchange_user.h"

#include <string.h>

#include "base/conf/conf.h"
#include "worker/http/basic.h"
#include "worker/http/http.h"
#include "worker/proxy/exchange.h"

struct str exchange_user(const struct exchange *x)
{
    static char buf[BASIC_MAX];
    const struct http_field *field = NULL;
    struct str user, password;

    if (x->route && x->route->basic.n_users)
        field = http_request_field(x->request, HTTP_F_AUTHORIZATION);
    if (!field || !basic_decode(field->value, buf, &user, &password))
        return STR_EMPTY;
    explicit_bzero(buf + user.n, sizeof buf - user.n);
    return user;
}
