/* The decoder and encoder of chunked bodies. Malformed bodies are in hostile.c. */
#include <stdlib.h>

#include "t/unit/tap.h"
#include "worker/http/h1.h"

static const struct http_limits limits = HTTP_LIMITS_DEFAULT;

static void test_spans(void)
{
    const char *in = "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\nNEXT";
    struct h1_chunked c;
    struct str data;
    size_t used = 0, n = strlen(in);
    char body[32];
    size_t length = 0;

    h1_chunked_init(&c);
    while (!c.done && used < n) {
        ssize_t rc = h1_chunked_next(&c, in + used, n - used, &data, &limits);
        if (rc <= 0)
            break;
        ok(data.n == 0 || (data.p >= in && data.p + data.n <= in + n), "a span of the input");
        if (data.n)
            memcpy(body + length, data.p, data.n);
        length += data.n;
        used += (size_t)rc;
    }
    ok(c.done, "the body is complete");
    is_mem(body, length, "hello world", 11, "the body");
    is_str(in + used, "NEXT", "what follows is left alone");
    is_int((intmax_t)c.total, 11, "the sum");
}

static void test_squeeze(void)
{
    char buf[] = "1\r\na\r\n1\r\nb\r\n3\r\ncde\r\n0\r\n\r\nGET /";
    struct h1_chunked c;
    size_t body;
    ssize_t rc;

    h1_chunked_init(&c);
    rc = h1_chunked_squeeze(&c, buf, strlen(buf), &body, &limits);
    is_int(rc, (intmax_t)sizeof(buf) - 1 - 5, "consumed up to the next request");
    is_mem(buf, body, "abcde", 5, "small chunks become one span in place");
    is_str(buf + rc, "GET /", "the surplus is untouched");
}

/* Case 66: chunks of one byte, a million of them, in pieces of 64 KiB. */
static void test_million(void)
{
    enum { CHUNKS = 1000000, PIECE = 64 * 1024 };
    size_t total = 0, n = CHUNKS * 6 + 5;
    char *in = malloc(n);
    struct h1_chunked c;
    bool good = true;

    for (size_t i = 0; i < CHUNKS; i++)
        memcpy(in + i * 6, "1\r\nx\r\n", 6);
    memcpy(in + n - 5, H1_CHUNK_LAST, 5);
    h1_chunked_init(&c);
    for (size_t at = 0; at < n && good; at += PIECE) {
        size_t body, piece = n - at < PIECE ? n - at : PIECE;
        good = h1_chunked_squeeze(&c, in + at, piece, &body, &limits) == (ssize_t)piece;
        total += body;
    }
    ok(good && c.done, "a million chunks decode");
    is_int((intmax_t)total, CHUNKS, "to a million bytes");
    free(in);
}

static void test_bound(void)
{
    struct http_limits tight = limits;
    struct h1_chunked c;
    struct str data;

    tight.body = 8;
    h1_chunked_init(&c);
    is_int(h1_chunked_next(&c, "9\r\n", 3, &data, &tight), -H1_E_CHUNK_OVER,
           "a chunk over the bound is refused before its data");
    h1_chunked_init(&c);
    is_int(h1_chunked_next(&c, "8\r\n", 3, &data, &tight), 3, "a chunk up to the bound passes");
    is_int(h1_chunked_next(&c, "12345678", 8, &data, &tight), 8, "with its data");
    is_int(h1_chunked_next(&c, "\r\n1\r\n", 5, &data, &tight), -H1_E_CHUNK_OVER,
           "a second chunk over it does not");
}

static void test_encoder(void)
{
    static const struct {
        size_t n;
        const char *head;
    } sizes[] = {{1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {255, "ff\r\n"},
                 {256, "100\r\n"},
                 {65536, "10000\r\n"},
                 {0xabcdef, "abcdef\r\n"},
                 {SIZE_MAX, "ffffffffffffffff\r\n"}};
    char head[H1_CHUNK_HEAD_MAX];

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = h1_chunk_head(head, sizes[i].n);
        is_mem(head, n, sizes[i].head, strlen(sizes[i].head), "head of %zu bytes", sizes[i].n);
    }
}

/* What of a trailer section may pass. */
static void trailers(const char *in, const char *want, const char *name)
{
    struct http_field fields[3];
    char out[256] = "";
    size_t n = h1_trailers(fields, 3, in, strlen(in));

    for (size_t i = 0; i < n; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%.*s: %.*s\r\n",
                 STR_ARG(fields[i].name), STR_ARG(fields[i].value));
    is_str(out, want, "%s", name);
}

static void test_trailers(void)
{
    char kept[16];
    struct h1_chunked c;
    size_t body;
    char text[] = "0\r\nA: b\r\nC: d\r\n\r\n";

    trailers("A: b\r\nC:d\r\n", "A: b\r\nC: d\r\n", "plain ones");
    trailers("A: 1\r\nB: 2\r\nC: 3\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n", "as many as fit");
    trailers("A: 1\r\nB: 2\r\nC: 3\r\nVia: x\r\n", "A: 1\r\nB: 2\r\nC: 3\r\n",
             "and those that may not pass");
    trailers("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n", "", "more: nothing of it");
    trailers("", "", "none");
    trailers("a: b\r\nhost: x\r\nc: d\r\n", "a: b\r\nc: d\r\n", "known names never");
    trailers("vary: x\r\nContent-Digest: y\r\nContent-Other: z\r\nsec-x: y\r\n",
             "Content-Digest: y\r\n", "nor those of their kind");
    trailers("a: b\r\nc : d\r\n", "", "a space before the colon: nothing of it");
    trailers("a: b\r\nc: \001\r\n", "", "a control byte: nothing");
    trailers("a: b\r\nc: d", "", "an unfinished line: nothing");
    trailers("a: b\r\n\r\nc: d\r\n", "", "an empty line: nothing");
    h1_chunked_init(&c);
    c.keep = kept;
    c.keep_cap = 8;
    ok(h1_chunked_squeeze(&c, text, strlen(text), &body, &http_limits_default) ==
               (ssize_t)sizeof text - 1 &&
           c.done,
       "a section that is longer than its room");
    is_mem(kept, c.kept, "A: b\r\nC:", 8, "is kept as far as that goes");
    ok(c.kept < c.trailers, "which can be seen");
}

int main(void)
{
    test_spans();
    test_squeeze();
    test_million();
    test_bound();
    test_encoder();
    test_trailers();
    return done();
}
