#include "worker/http/redirect.h"

#include "worker/http/forward.h"

ssize_t redirect_location(char *buf, size_t cap, const struct http_request *req,
                          struct str host, uint16_t port)
{
    struct text_out out;
    bool v6 = str_index(host, ':') < host.n;

    text_out_init(&out, buf, cap);
    PUT(&out, "https://");
    put(&out, v6 ? STR("[") : STR_EMPTY);
    put(&out, host);
    put(&out, v6 ? STR("]") : STR_EMPTY);
    if (port != 443) {
        PUT(&out, ":");
        put_number(&out, port);
    }
    forward_target(&out, req, req->path);
    forward_target(&out, req, req->query);
    return put_done(&out);
}
