/* Request heads: whatever the pieces they come in, the same result; every slice inside the
 * head. The first byte chooses the policy, the second the size of the pieces. */
#include <stdio.h>

#include "t/fuzz/fuzz.h"
#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"
#include "worker/http/uri.h"

static void check(const struct http_request *req, const char *buf, size_t n)
{
    HOLDS(req->nfields <= HTTP_FIELDS_MAX);
    HOLDS(fuzz_inside(req->method_name, buf, n) && fuzz_inside(req->target, buf, n));
    HOLDS(fuzz_inside(req->authority, buf, n) && fuzz_inside(req->host, buf, n));
    HOLDS(fuzz_inside(req->query, buf, n) && fuzz_inside(req->upgrade, buf, n));
    HOLDS(req->form == HTTP_TARGET_ASTERISK || (req->path.n && req->path.p[0] == '/'));
    HOLDS(req->version_minor || req->body != HTTP_BODY_CHUNKED);
    HOLDS(req->authority.n || req->version_minor == 0);
    HOLDS(!req->authority.n || req->authority.p[req->authority.n - 1] != ':');
    HOLDS(req->method != HTTP_CONNECT && req->method != HTTP_TRACE);
    for (size_t i = 0; i < req->nfields; i++) {
        const struct http_field *f = &req->fields[i];
        HOLDS(f->name.n && fuzz_inside(f->name, buf, n) && fuzz_inside(f->value, buf, n));
        HOLDS(fuzz_one_line(f->value) && str_index(f->name, '_') == f->name.n);
        HOLDS(f->id == http_field_lookup(f->name));
        for (size_t at = 0; at < f->name.n; at++)
            HOLDS(h1_class[(unsigned char)f->name.p[at]] & H1_C_TOKEN);
    }
}

/* A raw target, encoded, is one that the strict parser takes. */
static void check_encoded(const struct http_request *req)
{
    const struct h1_request_policy strict = {.is_tls = true};
    struct http_limits wide = http_limits_default;
    struct h1_scan scan = {0};
    struct http_request again;
    size_t room = 3 * req->target.n + 64;
    char *head = malloc(room);
    ssize_t n;

    memcpy(head, "GET ", 4);
    n = uri_encode(head + 4, room - 4, req->target);
    HOLDS(req->raw == ((size_t)n != req->target.n));
    HOLDS(n >= (ssize_t)req->target.n && (size_t)n == uri_encoded_size(req->target));
    HOLDS(uri_encode(head + 4, (size_t)n - 1, req->target) == -1);
    HOLDS(uri_encode(head + 4, (size_t)n, req->target) == n);
    n += 4;
    n += sprintf(head + n, " HTTP/1.0\r\n\r\n");
    wide.target = 3 * HTTP_TARGET_MAX;
    if (req->form != HTTP_TARGET_ASTERISK)
        HOLDS(h1_request_parse(&again, head, (size_t)n, &scan, &wide, &strict) == n);
    free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct h1_request_policy policy = {.is_tls = data[0] & 1,
                                             .refuse_10_without_host = data[0] & 2,
                                             .raw_targets = data[0] & 4};
    size_t step = data[1] ? data[1] : 1, n = size - 2;
    struct h1_scan whole_scan = {0}, scan = {0};
    struct http_request whole, req;
    char *buf = fuzz_copy(data + 2, n), *block = NULL;
    ssize_t want = h1_request_parse(&whole, buf, n, &whole_scan, &http_limits_default, &policy);
    ssize_t got = 0;

    HOLDS(want <= (ssize_t)n && want > -H1_ERRORS);
    if (want > 0)
        check(&whole, buf, (size_t)want);
    if (want > 0 && policy.raw_targets)
        check_encoded(&whole);
    for (size_t have = 0; have < n && got == 0;) {
        have = have + step < n ? have + step : n;
        char *moved = fuzz_copy(data + 2, have);
        got = h1_request_parse(&req, moved, have, &scan, &http_limits_default, &policy);
        free(block);
        block = moved;
    }
    /* Pieces may tell an error later, and when a head has two, the other one. */
    HOLDS((want > 0) == (got > 0) && (want <= 0 || want == got) && (want || !got));
    if (want < 0 && got == 0) { /* at the end of the line at the latest */
        char *ended = malloc(n + 2);
        memcpy(ended, data + 2, n);
        memcpy(ended + n, "\r\n", 2);
        HOLDS(h1_request_parse(&req, ended, n + 2, &scan, &http_limits_default, &policy) < 0);
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
