#include "worker/upstream/pins.h"

#include <string.h>

#include "base/check.h"
#include "worker/http/http.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

void pins_keep(struct pins *pins, struct upstream *u)
{
    int n = 0;

    while (pins->of[n])
        n++;
    CHECK(n < PINS_MAX);
    pins->of[n] = u;
}

struct upstream *pins_find(const struct pins *pins, const struct backend_view *b)
{
    for (int i = 0; i < PINS_MAX && pins->of[i]; i++)
        if (pins->of[i]->backend == b)
            return pins->of[i];
    return NULL;
}

struct backend_view *pins_backend(const struct pins *pins, const struct pool_view *pool)
{
    for (int i = 0; i < PINS_MAX && pins->of[i]; i++)
        if (pins->of[i]->backend->pool == pool)
            return pins->of[i]->backend;
    return NULL;
}

void pins_remove(struct pins *pins, const struct upstream *u)
{
    int i = 0;

    while (i < PINS_MAX && pins->of[i] != u)
        i++;
    CHECK(i < PINS_MAX);
    memmove(pins->of + i, pins->of + i + 1, (size_t)(PINS_MAX - 1 - i) * sizeof pins->of[0]);
    pins->of[PINS_MAX - 1] = NULL;
}

/* Checks the scheme of "NTLM" or "Negotiate token". */
static bool is_of_connection(struct str credentials)
{
    struct str scheme = str_head(credentials, str_index(credentials, ' '));

    return str_eq_case(scheme, STR("NTLM")) || str_eq_case(scheme, STR("Negotiate"));
}

bool pins_bound_by_request(const struct http_request *request)
{
    const struct http_field *f = http_request_field(request, HTTP_F_AUTHORIZATION);

    return f && is_of_connection(f->value);
}

/* Whatever the status: the last step of Negotiate comes with the response itself (RFC 4559 5).
 * The text after a comma in a quoted realm may be taken for a challenge: this only binds a
 * connection unnecessarily, which does no harm. */
bool pins_bound_by_response(const struct http_response *response)
{
    struct str list, challenge;

    for (unsigned i = 0; i < response->nfields; i++) {
        if (!str_eq_case(response->fields[i].name, STR("WWW-Authenticate")) &&
            !str_eq_case(response->fields[i].name, STR("Proxy-Authenticate")))
            continue;
        list = response->fields[i].value;
        while (str_next_item(&list, &challenge))
            if (is_of_connection(challenge))
                return true;
    }
    return false;
}
