#include "worker/http/h1_write.h"

#include "worker/http/text_out.h"

enum http_body h1_write_body(const struct http_head *head, unsigned client_minor)
{
    if (head->body == HTTP_BODY_CHUNKED || head->body == HTTP_BODY_UNTIL_CLOSE)
        return client_minor ? HTTP_BODY_CHUNKED : HTTP_BODY_UNTIL_CLOSE;
    return (enum http_body)head->body;
}

/* Upper bound for the parts of a head other than its fields and reason. */
enum { REST_MAX = 128 };

/* Writes to p, where there is room for it; returns the end. */
static char *write_text(char *p, struct str s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

#define WRITE(p, literal) write_text((p), STR(literal))

static char *write_number(char *p, uint64_t value)
{
    char text[STR_DECIMAL];

    return write_text(p, str_decimal(text, value));
}

static char *write_status_line(char *p, const struct http_head *head)
{
    unsigned status = head->status;

    /* Every status has three digits (struct http_head). */
    p = WRITE(p, "HTTP/1.1 ");
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = write_text(p, head->reason);
    return WRITE(p, "\r\n");
}

/* A field that came from HTTP/1.1 lies in memory as it is to be written. */
static bool is_line(const struct http_field *f)
{
    const char *end = f->name.p + f->name.n;

    return f->value.p == end + 2 && end[0] == ':' && end[1] == ' ';
}

static char *write_field(char *p, const struct http_field *f)
{
    if (is_line(f)) {
        p = write_text(p, str_span(f->name.p, f->value.p + f->value.n));
    } else {
        p = write_text(p, f->name);
        p = WRITE(p, ": ");
        p = write_text(p, f->value);
    }
    return WRITE(p, "\r\n");
}

static char *write_fields(char *p, const struct http_field *fields, size_t n)
{
    for (const struct http_field *f = fields; f < fields + n; f++)
        p = write_field(p, f);
    return p;
}

static size_t size_of_fields(const struct http_field *fields, size_t n)
{
    size_t size = 0;

    for (const struct http_field *f = fields; f < fields + n; f++)
        size += f->name.n + f->value.n + sizeof ": \r\n" - 1;
    return size;
}

static char *write_framing(char *p, const struct http_head *head, enum http_body body)
{
    if (body == HTTP_BODY_CHUNKED)
        return WRITE(p, "Transfer-Encoding: chunked\r\n");
    if (!head->has_length)
        return p;
    p = WRITE(p, "Content-Length: ");
    p = write_number(p, head->content_length);
    return WRITE(p, "\r\n");
}

static char *write_connection(char *p, bool keep_alive, unsigned client_minor)
{
    if (!keep_alive)
        return WRITE(p, "Connection: close\r\n");
    return client_minor ? p : WRITE(p, "Connection: keep-alive\r\n");
}

ssize_t h1_write_response(struct text_out *out, const struct http_head *head, bool keep_alive,
                          unsigned client_minor)
{
    enum http_body body = h1_write_body(head, client_minor);
    char *p = out->p + out->n;

    if (!has_room(out, REST_MAX + head->reason.n + size_of_fields(head->fields, head->nfields)))
        return -1;
    p = write_status_line(p, head);
    p = write_fields(p, head->fields, head->nfields);
    if (head->status == 101) {
        p = WRITE(p, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if (head->status >= 200) {
        p = write_framing(p, head, body);
        p = write_connection(p, keep_alive && body != HTTP_BODY_UNTIL_CLOSE, client_minor);
    }
    p = WRITE(p, "\r\n");
    out->n = (size_t)(p - out->p);
    return (ssize_t)out->n;
}

ssize_t h1_write_trailers(struct text_out *out, const struct http_field *fields, size_t n)
{
    char *p = out->p + out->n;

    if (!has_room(out, size_of_fields(fields, n)))
        return -1;
    out->n = (size_t)(write_fields(p, fields, n) - out->p);
    return (ssize_t)out->n;
}
