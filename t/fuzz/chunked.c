/* Chunked bodies: spans, in place, and in pieces give the same bytes and the same end. What was
 * decoded, encoded again by our own encoder, decodes to itself. */
#include "t/fuzz/fuzz.h"
#include "worker/http/h1.h"

static const struct http_limits *limits = &http_limits_default;

/* Decodes by spans; the bytes consumed or the error. */
static ssize_t by_spans(const char *in, size_t n, char *out, size_t *body, bool *done)
{
    struct h1_chunked c;
    size_t used = 0;

    *body = 0;
    h1_chunked_init(&c);
    while (used < n && !c.done) {
        struct str data;
        ssize_t rc = h1_chunked_next(&c, in + used, n - used, &data, limits);
        if (rc < 0)
            return rc;
        HOLDS(rc > 0 && fuzz_inside(data, in + used, (size_t)rc));
        if (data.n)
            memcpy(out + *body, data.p, data.n);
        *body += data.n;
        used += (size_t)rc;
    }
    *done = c.done;
    return (ssize_t)used;
}

static ssize_t by_pieces(const uint8_t *in, size_t n, size_t step, char *out, size_t *body)
{
    struct h1_chunked c;
    size_t used = 0, length;

    *body = 0;
    h1_chunked_init(&c);
    while (used < n && !c.done) {
        size_t piece = step < n - used ? step : n - used;
        char *copy = fuzz_copy(in + used, piece);
        ssize_t rc = h1_chunked_squeeze(&c, copy, piece, &length, limits);
        if (rc >= 0) {
            HOLDS(length <= piece && (rc == (ssize_t)piece || c.done));
            memcpy(out + *body, copy, length);
            *body += length;
        }
        free(copy);
        if (rc < 0)
            return rc;
        used += (size_t)rc;
    }
    return (ssize_t)used;
}

static void again(const char *body, size_t n)
{
    char *coded = malloc(n + H1_CHUNK_HEAD_MAX + 8), *decoded = malloc(n + 1);
    size_t at = 0, length;
    bool done = false;

    if (n) {
        at = h1_chunk_head(coded, n);
        memcpy(coded + at, body, n);
        memcpy(coded + at + n, H1_CHUNK_TAIL, 2);
        at += n + 2;
    }
    memcpy(coded + at, H1_CHUNK_LAST, 5);
    at += 5;
    HOLDS(by_spans(coded, at, decoded, &length, &done) == (ssize_t)at && done);
    HOLDS(length == n && memcmp(decoded, body, n) == 0);
    free(coded);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t step = data[0] ? data[0] : 1, n = size - 1, body, body2;
    char *in = fuzz_copy(data + 1, n), *out = malloc(size), *out2 = malloc(size);
    bool done = false;
    ssize_t want = by_spans(in, n, out, &body, &done);

    HOLDS(by_pieces(data + 1, n, step, out2, &body2) == want);
    if (want >= 0) {
        HOLDS(body == body2 && memcmp(out, out2, body) == 0);
        if (done)
            again(out, body);
    }
    free(in);
    free(out);
    free(out2);
    return 0;
}
