/* A request body: by length or chunked (RFC 9112 section 7.1), passed on slice by slice. */
#include "httpbin.h"

#include <stdlib.h>

enum {
    TRAILER_MAX = 8192, /* bytes of one line */
};

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static void bad_body(struct conn *c)
{
    static struct req nobody;
    if (c->sink != SINK_DROP && c->sink != SINK_ECHO)
        answer_error(c, &nobody, 400, "bad chunk");
    c->closing = true;
}

static void body_done(struct conn *c)
{
    static struct req r;
    struct buf head = c->head;

    c->head = (struct buf){0};
    c->state = CONN_HEAD;
    if (c->sink == SINK_ECHO) {
        if (c->echo_chunked)
            buf_puts(&obuf, "0\r\n\r\n");
    } else if (c->sink == SINK_SUM) {
        req_parse(&r, head.p, head.n);
        web_body_end(c, &r);
    }
    free(head.p);
    free(c->keep.p);
    c->keep = (struct buf){0};
}

static size_t body_slice(struct conn *c, const char *p, size_t n)
{
    size_t k = n < c->body_left ? n : (size_t)c->body_left;

    c->body_left -= k;
    c->body_seen += k;
    web_body(c, p, k);
    return k;
}

/* One byte of chunk framing. */
static void chunk_byte(struct conn *c, char ch)
{
    int v;

    switch (c->body) {
    case BODY_SIZE:
        if ((v = hex_value(ch)) >= 0 && c->body_left >> 56 == 0) {
            c->body_left = c->body_left << 4 | (unsigned)v;
            c->trailer_n++; /* digits */
            break;
        }
        if (v >= 0 || c->trailer_n == 0) {
            bad_body(c);
            break;
        }
        c->body = BODY_EXT;
        /* fall through */
    case BODY_EXT:
        if (ch == '\n') {
            c->body = c->body_left ? BODY_DATA : BODY_TRAILER;
            c->trailer_n = 0;
        }
        break;
    case BODY_CRLF:
        if (ch == '\n') {
            c->body = BODY_SIZE;
            c->trailer_n = 0;
        } else if (ch != '\r') {
            bad_body(c);
        }
        break;
    case BODY_TRAILER: /* trailer_n: bytes of this line */
        if (ch == '\n') {
            if (c->trailer_n == 0)
                body_done(c);
            else
                c->trailer_n = 0;
        } else if (ch != '\r' && ++c->trailer_n > TRAILER_MAX) {
            bad_body(c);
        }
        break;
    default:
        break;
    }
}

size_t body_feed(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;

    while (used < n && c->state == CONN_BODY && !c->closing && !c->held) {
        if (c->body == BODY_LENGTH || c->body == BODY_DATA) {
            used += body_slice(c, p + used, n - used);
            if (c->body_left == 0) {
                if (c->body == BODY_LENGTH)
                    body_done(c);
                else
                    c->body = BODY_CRLF;
            }
        } else {
            chunk_byte(c, p[used++]);
        }
        if (c->fd < 0)
            return used;
    }
    return used;
}
