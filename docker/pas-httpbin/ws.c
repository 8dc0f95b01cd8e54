/* WebSocket echo, RFC 6455: every frame is sent back unchanged, ping as pong, close as close.
 * Payload is echoed while it arrives, so a frame may have any length. */
#include "httpbin.h"

#include <string.h>

static uint32_t rol(uint32_t v, int n)
{
    return v << n | v >> (32 - n);
}

static void sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t t = rol(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rol(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

void sha1(const void *data, size_t n, unsigned char out[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const unsigned char *p = data;
    unsigned char last[128] = {0};
    size_t left = n;

    for (; left >= 64; left -= 64, p += 64)
        sha1_block(h, p);
    memcpy(last, p, left);
    last[left] = 0x80;
    size_t blocks = left < 56 ? 1 : 2;
    for (int i = 0; i < 8; i++)
        last[blocks * 64 - 1 - (size_t)i] = (unsigned char)((uint64_t)n * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++)
        sha1_block(h, last + 64 * i);
    for (int i = 0; i < 20; i++)
        out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void base64(struct buf *b, const unsigned char *p, size_t n)
{
    static const char set[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? p[i + 2] : 0);
        char t[4] = {set[v >> 18], set[v >> 12 & 63], i + 1 < n ? set[v >> 6 & 63] : '=',
                     i + 2 < n ? set[v & 63] : '='};
        buf_add(b, t, 4);
    }
}

void ws_start(struct conn *c, const struct req *r)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct str key = req_header(r, "sec-websocket-key");
    char text[128];
    unsigned char sum[20];

    if (!r->upgrade || key.n == 0 || key.n > 64) {
        answer_error(c, r, 426, "this is a WebSocket");
        return;
    }
    memcpy(text, key.p, key.n);
    memcpy(text + key.n, guid, sizeof guid - 1);
    sha1(text, key.n + sizeof guid - 1, sum);
    buf_puts(&obuf, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nX-Instance: ");
    buf_puts(&obuf, settings.instance);
    buf_puts(&obuf, "\r\nSec-WebSocket-Accept: ");
    base64(&obuf, sum, sizeof sum);
    buf_puts(&obuf, "\r\n\r\n");
    c->state = CONN_WS;
    c->ws_n = 0;
    c->ws_left = 0;
}

/* Length of the head of a client's frame; its second byte must be known. */
static unsigned frame_head_size(unsigned char second)
{
    unsigned n = second & 127;
    return 2 + (n == 126 ? 2 : n == 127 ? 8 : 0) + (second & 128 ? 4 : 0);
}

static void frame_begin(struct conn *c)
{
    unsigned char *h = c->ws_head;
    unsigned masked = h[1] & 128, size = c->ws_n - (masked ? 4 : 0);
    unsigned opcode = h[0] & 15;

    if (!masked || (opcode >= 8 && (h[1] & 127) > 125)) {
        buf_add(&obuf, "\x88\x02\x03\xea", 4); /* 1002 protocol error */
        c->closing = true;
        return;
    }
    c->ws_left = 0;
    if (size == 2)
        c->ws_left = h[1] & 127;
    else
        for (unsigned i = 2; i < size; i++)
            c->ws_left = c->ws_left << 8 | h[i];
    c->ws_mask_at = 0;
    unsigned char first = (unsigned char)(opcode == 9 ? (h[0] & 0xf0) | 10 : h[0]);
    unsigned char second = h[1] & 127;
    buf_add(&obuf, &first, 1);
    buf_add(&obuf, &second, 1);
    buf_add(&obuf, h + 2, size - 2);
}

size_t ws_feed(struct conn *c, char *p, size_t n)
{
    size_t used = 0;

    while (used < n && !c->closing) {
        bool in_head = c->ws_n < 2 || c->ws_n < frame_head_size(c->ws_head[1]);
        if (in_head) {
            c->ws_head[c->ws_n++] = (unsigned char)p[used++];
            if (c->ws_n < 2 || c->ws_n < frame_head_size(c->ws_head[1]))
                continue;
            frame_begin(c);
            if (c->closing)
                break;
        }
        const unsigned char *mask = c->ws_head + c->ws_n - 4;
        size_t k = n - used < c->ws_left ? n - used : (size_t)c->ws_left;
        for (size_t i = 0; i < k; i++)
            p[used + i] = (char)(p[used + i] ^ mask[c->ws_mask_at++ & 3]);
        buf_add(&obuf, p + used, k);
        used += k;
        c->ws_left -= k;
        if (c->ws_left == 0) {
            c->closing = (c->ws_head[0] & 15) == 8;
            c->ws_n = 0;
        }
    }
    return used;
}
