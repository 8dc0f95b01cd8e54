/* Response heads, as http1_request.c. The first byte chooses what was asked, the second the
 * size of the pieces. */
#include "t/fuzz/fuzz.h"
#include "worker/http/h1.h"

static void check(const struct http_response *res, const char *buf, size_t n)
{
    HOLDS(res->nfields <= HTTP_FIELDS_MAX && res->status >= 100 && res->status <= 599);
    HOLDS(fuzz_inside(res->reason, buf, n) && fuzz_one_line(res->reason));
    HOLDS(fuzz_inside(res->upgrade, buf, n));
    HOLDS(res->version_minor || res->body != HTTP_BODY_CHUNKED);
    HOLDS(!(res->keep_alive && res->body == HTTP_BODY_UNTIL_CLOSE));
    for (size_t i = 0; i < res->nfields; i++) {
        const struct http_field *f = &res->fields[i];
        HOLDS(f->name.n && fuzz_inside(f->name, buf, n) && fuzz_inside(f->value, buf, n));
        HOLDS(fuzz_one_line(f->value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct h1_response_context context = {.method = data[0] & 1 ? HTTP_HEAD : HTTP_GET,
                                                .upgrade =
                                                    data[0] & 2 ? STR("websocket") : STR_EMPTY};
    size_t step = data[1] ? data[1] : 1, n = size - 2;
    struct h1_scan whole_scan = {0}, scan = {0};
    struct http_response whole, res;
    char *buf = fuzz_copy(data + 2, n), *block = NULL;
    ssize_t want =
        h1_response_parse(&whole, buf, n, &whole_scan, &http_limits_default, &context);
    ssize_t got = 0;

    HOLDS(want <= (ssize_t)n && want > -H1_ERRORS);
    if (want > 0)
        check(&whole, buf, (size_t)want);
    for (size_t have = 0; have < n && got == 0;) {
        have = have + step < n ? have + step : n;
        char *moved = fuzz_copy(data + 2, have);
        got = h1_response_parse(&res, moved, have, &scan, &http_limits_default, &context);
        free(block);
        block = moved;
    }
    HOLDS((want > 0) == (got > 0) && (want <= 0 || want == got) && (want || !got));
    if (want < 0 && got == 0) { /* at the end of the line at the latest */
        char *ended = malloc(n + 2);
        memcpy(ended, data + 2, n);
        memcpy(ended + n, "\r\n", 2);
        HOLDS(h1_response_parse(&res, ended, n + 2, &scan, &http_limits_default, &context) < 0);
        free(ended);
    }
    if (got > 0) {
        check(&res, block, (size_t)got);
        HOLDS(res.nfields == whole.nfields && res.body == whole.body);
        HOLDS(res.content_length == whole.content_length && res.status == whole.status);
        HOLDS(str_eq(res.reason, whole.reason) && res.keep_alive == whole.keep_alive);
        for (size_t i = 0; i < res.nfields; i++)
            HOLDS(str_eq(res.fields[i].value, whole.fields[i].value));
    }
    free(block);
    free(buf);
    return 0;
}
