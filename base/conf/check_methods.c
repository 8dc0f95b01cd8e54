/* conf/check_methods.c - checks the methods of a route; see conf/check.c and conf/build.h. */
#include <stdio.h>
#include <string.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"

enum { ALLOW_LEN = (CONF_MAX_LIST + 1) * (CONF_METHOD_LEN + 2) + 1 };

static bool has(const struct conf_route *route, const char *method, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (route->methods[i] && strcmp(route->methods[i], method) == 0)
            return true;
    }
    return false;
}

void conf_check_methods(struct conf_build *b, struct conf_route *route)
{
    bool has_head = has(route, "HEAD", route->n_methods);
    char allow[ALLOW_LEN] = "";
    size_t n = 0;

    for (size_t i = 0; i < route->n_methods; i++) {
        const char *method = route->methods[i];

        if (!method || !*method)
            continue; /* could not be read */
        if (has(route, method, i))
            conf_errors_add(&b->report, conf_line_of_field(b, &route->methods[i]),
                            "routes.methods: \"%s\" twice; write each method once", method);
        bool with_head = strcmp(method, "GET") == 0 && !has_head;
        n += (size_t)snprintf(allow + n, sizeof allow - n, "%s%s%s", n ? ", " : "", method,
                              with_head ? ", HEAD" : "");
    }
    route->allow = conf_arena_strdup(b->arena, allow);
}
