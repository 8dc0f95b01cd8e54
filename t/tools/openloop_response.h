/* An HTTP/1.1 response as openloop reads it: how long it is, and which backend sent it. The
 * servers are ours, so that what is malformed is only a failure. */
#ifndef T_TOOLS_OPENLOOP_RESPONSE_H
#define T_TOOLS_OPENLOOP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { RESPONSE_HEAD_MAX = 16 * 1024 };

struct response { /* head_n = 0, and the flags false: nothing read yet */
    size_t head_n;
    char head[RESPONSE_HEAD_MAX];
    bool in_body, chunked, close;
    int status;        /* 0: malformed */
    char instance[24]; /* X-Instance of the response */
    int64_t left;      /* of the body or chunk; -1: until the end */
    int chunk_state;   /* 0 size, 1 data, 2 CRLF after data, 3 trailer */
    size_t chunk_line; /* bytes of the line so far */
};

/* The head is complete. to_head: the request was a HEAD. */
static inline void response_head(struct response *r, bool to_head)
{
    r->status = r->head_n > 12 && memcmp(r->head, "HTTP/1.1 ", 9) == 0 ? atoi(r->head + 9) : 0;
    if (r->status < 100 || r->status > 599)
        r->status = 0;
    r->left = -1;
    r->instance[0] = 0;
    for (char *p = strstr(r->head, "\r\n"); p && p[2]; p = strstr(p + 2, "\r\n")) {
        char *line = p + 2;
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            r->left = atoll(line + 15);
        else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0)
            r->chunked = true;
        else if (strncasecmp(line, "Connection: close", 17) == 0)
            r->close = true;
        else if (strncasecmp(line, "X-Instance: ", 12) == 0) {
            snprintf(r->instance, sizeof r->instance, "%.*s", (int)strcspn(line + 12, "\r"),
                     line + 12);
        }
    }
    if (r->status == 204 || r->status == 304 || to_head)
        r->left = 0, r->chunked = false;
    r->chunk_state = 0;
    r->chunk_line = 0;
    if (r->chunked)
        r->left = 0;
}

/* Consumes a piece of the body. True: the response is complete. */
static inline bool response_body(struct response *r, const char *p, size_t n)
{
    if (!r->chunked) {
        if (r->left >= 0)
            r->left -= (int64_t)n;
        return r->left == 0;
    }
    for (size_t i = 0; i < n;) {
        if (r->chunk_state == 1) {
            size_t k = n - i < (size_t)r->left ? n - i : (size_t)r->left;
            r->left -= (int64_t)k;
            i += k;
            if (r->left == 0)
                r->chunk_state = 2;
            continue;
        }
        char ch = p[i++];
        if (ch == '\n') {
            if (r->chunk_state == 3 && r->chunk_line == 0)
                return true;
            if (r->chunk_state == 0)
                r->chunk_state = r->left ? 1 : 3;
            else if (r->chunk_state == 2)
                r->chunk_state = 0;
            r->chunk_line = 0;
        } else if (ch != '\r') {
            r->chunk_line++;
            if (r->chunk_state == 0)
                r->left = r->left * 16 + (ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
        }
    }
    return false;
}

/* True: the response is complete. */
static inline bool response_feed(struct response *r, const char *p, size_t n, bool to_head)
{
    if (!r->in_body) {
        size_t k = n < RESPONSE_HEAD_MAX - 1 - r->head_n ? n
                                                         : RESPONSE_HEAD_MAX - 1 - r->head_n,
               old = r->head_n;
        memcpy(r->head + r->head_n, p, k);
        r->head_n += k;
        r->head[r->head_n] = 0;
        char *end = strstr(r->head, "\r\n\r\n");
        if (!end)
            return false;
        size_t head = (size_t)(end - r->head) + 4;
        end[2] = 0;
        response_head(r, to_head);
        if (r->status >= 100 && r->status < 200) { /* interim: the final response follows */
            r->head_n = 0;
            return head - old < n &&
                   response_feed(r, p + (head - old), n - (head - old), to_head);
        }
        r->in_body = true;
        p += head - old;
        n -= head - old;
        if (!r->chunked && r->left == 0)
            return true;
    }
    return n > 0 && response_body(r, p, n);
}

#endif
