/* Request heads: whatever the pieces they come in, the same result; every slice inside the
 * head. The first byte chooses the policy, the second the size of the pieces. */
#include "t/fuzz/fuzz.h"
#include "worker/http1.h"

static void check(const struct http_request *req, const char *buf, size_t n)
{
    HOLDS(req->nfields <= HTTP_FIELDS_MAX);
    HOLDS(fuzz_inside(req->method_name, buf, n) && fuzz_inside(req->target, buf, n));
    HOLDS(fuzz_inside(req->authority, buf, n) && fuzz_inside(req->host, buf, n));
    HOLDS(fuzz_inside(req->query, buf, n) && fuzz_inside(req->upgrade, buf, n));
    HOLDS(req->form == HTTP_TARGET_ASTERISK || (req->path.n && req->path.p[0] == '/'));
    HOLDS(req->version_minor || req->body != HTTP_BODY_CHUNKED);
    HOLDS(req->authority.n || req->version_minor == 0);
    for (size_t i = 0; i < req->nfields; i++) {
        const struct http_field *f = &req->fields[i];
        HOLDS(f->name.n && fuzz_inside(f->name, buf, n) && fuzz_inside(f->value, buf, n));
        HOLDS(fuzz_one_line(f->value) && str_index(f->name, '_') == f->name.n);
        HOLDS(f->id == http_field_lookup(f->name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct http1_request_policy policy = {.is_tls = data[0] & 1,
                                                .refuse_10_without_host = data[0] & 2,
                                                .forward_unknown_methods = data[0] & 4};
    size_t step = data[1] ? data[1] : 1, n = size - 2;
    struct http1_scan whole_scan = {0}, scan = {0};
    struct http_request whole, req;
    char *buf = fuzz_copy(data + 2, n), *block = NULL;
    ssize_t want =
        http1_request_parse(&whole, buf, n, &whole_scan, &http_limits_default, &policy);
    ssize_t got = 0;

    HOLDS(want <= (ssize_t)n && want > -HTTP1_ERRORS);
    if (want > 0)
        check(&whole, buf, (size_t)want);
    for (size_t have = 0; have < n && got == 0;) {
        have = have + step < n ? have + step : n;
        char *moved = fuzz_copy(data + 2, have);
        got = http1_request_parse(&req, moved, have, &scan, &http_limits_default, &policy);
        free(block);
        block = moved;
    }
    /* Pieces may tell an error later, and when a head has two, the other one. */
    HOLDS((want > 0) == (got > 0) && (want <= 0 || want == got) && (want || !got));
    if (want < 0 && got == 0) { /* at the end of the line at the latest */
        char *ended = malloc(n + 2);
        memcpy(ended, data + 2, n);
        memcpy(ended + n, "\r\n", 2);
        HOLDS(http1_request_parse(&req, ended, n + 2, &scan, &http_limits_default, &policy) <
              0);
        free(ended);
    }
    if (got > 0) {
        check(&req, block, (size_t)got);
        HOLDS(req.nfields == whole.nfields && req.body == whole.body);
        HOLDS(req.content_length == whole.content_length && str_eq(req.path, whole.path));
        HOLDS(req.keep_alive == whole.keep_alive && str_eq(req.authority, whole.authority));
        for (size_t i = 0; i < req.nfields; i++)
            HOLDS(str_eq(req.fields[i].value, whole.fields[i].value));
    }
    free(block);
    free(buf);
    return 0;
}
