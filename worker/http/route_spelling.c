#include "worker/http/route_spelling.h"

#include "worker/http/uri.h"

const char *route_spelling(const char *path, char *out, size_t cap, const char **why)
{
    ssize_t n = uri_normalise(out, cap - 1, str_from(path), 0);

    if (n < 0) {
        *why = uri_error_text((int)n);
        return NULL;
    }
    out[n] = '\0';
    return out;
}
