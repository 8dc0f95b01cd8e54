/* HTTP/1.1: the head of the running request (worker/conn/h1.h). */
#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

ssize_t h1_head_parse(const struct conn *c, struct head_buffer *buffer)
{
    const struct h1_request_policy policy = {.is_tls = c->peer.tls != NULL,
                                             .raw_targets = c->peer.listen->targets ==
                                                            CONF_TARGETS_ENCODE};

    return h1_request_parse(&buffer->head.request, buffer->bytes, buffer->n, &buffer->scan,
                            &c->worker->limits, &policy);
}

/* What came behind the request stays: it is the next one. */
bool h1_head_shrink(struct transport *t)
{
    struct conn *c = container_of(t, struct conn, h1.transport);
    struct head_buffer *buffer = c->h1.head_buffer, *less = NULL;
    ssize_t head;

    if (!c->h1.body_done)
        return false;
    buffer->scan = (struct h1_scan){0};
    head = h1_head_parse(c, buffer);
    if (head > 0)
        less = head_buffer_part(c->worker, buffer, (size_t)head, c->h1.used,
                                buffer->n - c->h1.used);
    if (!less || h1_head_parse(c, less) != head) {
        head_buffer_free(c->worker, less);
        return false;
    }
    head_buffer_free(c->worker, buffer);
    c->h1.head_buffer = less;
    c->h1.used = (size_t)head;
    t->request = &less->head.request;
    return true;
}
