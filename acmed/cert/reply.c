#include "acmed/cert/reply.h"

#include <stdio.h>

static bool reply_runs(const struct cert_reply *reply)
{
    return reply->state == CERT_REPLY_OPERATES || reply->state == CERT_REPLY_ORDERS;
}

/* The slot that has been over for longest; NULL: none is. */
static struct cert_reply *reply_slot(const struct cert_row *row)
{
    const struct cert_reply *slot = NULL;

    for (int i = 0; i < CERT_REPLIES; i++)
        if (!reply_runs(&row->replies[i]) &&
            (!slot || row->replies[i].number - slot->number > UINT32_MAX / 2))
            slot = &row->replies[i];
    return (struct cert_reply *)slot;
}

bool reply_has_room(const struct cert_row *row)
{
    return reply_slot(row) != NULL;
}

static void reply_put(struct cert_row *row, struct cert_reply reply, const char *text)
{
    struct cert_reply *slot = reply_slot(row);

    row->requests++;
    if (!slot)
        return;
    reply.number = row->requests;
    *slot = reply;
    snprintf(slot->text, sizeof slot->text, "%s", text);
}

void reply_accept(struct cert_row *row, enum cert_request request, int32_t pid, uint32_t before)
{
    bool orders = request == CERT_RENEW || request == CERT_RENEW_FORCE;

    reply_put(row,
              (struct cert_reply){.pid = pid,
                                  .before = before,
                                  .request = request,
                                  .state = orders ? CERT_REPLY_ORDERS : CERT_REPLY_OPERATES},
              "");
}

void reply_refuse(struct cert_row *row, enum cert_request request, int32_t pid, const char *why)
{
    reply_put(row,
              (struct cert_reply){.pid = pid, .request = request, .state = CERT_REPLY_REFUSED},
              why);
}

static void reply_end(const struct cert_row *row, struct cert_reply *reply,
                      enum cert_reply_state state, const char *text)
{
    reply->state = state;
    reply->generation = row->generation;
    reply->not_after_wall_ms = row->not_after_wall_ms;
    snprintf(reply->text, sizeof reply->text, "%s", text);
}

/* A rollback ends an order, because the new certificate is not wanted any more. */
static void reply_end_orders(const struct cert_row *row, struct cert_reply *replies)
{
    char text[TABLE_REASON];

    for (struct cert_reply *r = replies; r < replies + CERT_REPLIES; r++) {
        if (r->state != CERT_REPLY_ORDERS)
            continue;
        snprintf(text, sizeof text,
                 "%sits order was ended by `cert rollback`; generation %u is live",
                 r->request == CERT_REVOKE ? "revoked, but " : "", row->generation);
        reply_end(row, r, CERT_REPLY_REFUSED, text);
    }
}

/* An account operation or a rollback. */
static void settle_operation(struct cert_row *row, struct cert_reply *r)
{
    if (row->reply[0]) {
        reply_end(row, r, CERT_REPLY_REFUSED, row->reply);
        row->reply[0] = '\0';
    } else if (r->request == CERT_REVOKE) {
        r->state = CERT_REPLY_ORDERS; /* of its replacement */
    } else {
        reply_end(row, r, CERT_REPLY_DONE, row->error);
        if (r->request == CERT_ROLLBACK && r->generation != r->before)
            reply_end_orders(row, row->replies);
    }
}

void reply_settle(struct cert_row *row, bool operates, bool deploys)
{
    for (struct cert_reply *r = row->replies; r < row->replies + CERT_REPLIES; r++)
        if (r->state == CERT_REPLY_OPERATES &&
            !(r->request == CERT_ROLLBACK ? deploys : operates))
            settle_operation(row, r);
    for (struct cert_reply *r = row->replies; r < row->replies + CERT_REPLIES; r++)
        if (r->state == CERT_REPLY_ORDERS && !row->busy && !deploys)
            reply_end(row, r, CERT_REPLY_DONE, row->error);
}

void reply_same(struct cert_row *row)
{
    for (struct cert_reply *r = row->replies; r < row->replies + CERT_REPLIES; r++)
        if (r->state == CERT_REPLY_ORDERS)
            reply_end(row, r, CERT_REPLY_DONE,
                      r->request == CERT_RENEW
                          ? "not due yet; its open order gave the certificate that is live"
                          : "its open order gave the certificate that is live; try again");
}

void reply_interrupted(struct cert_row *row)
{
    for (struct cert_reply *r = row->replies; r < row->replies + CERT_REPLIES; r++)
        if (r->state == CERT_REPLY_OPERATES)
            reply_end(
                row, r, CERT_REPLY_REFUSED,
                "interrupted by a reload or restart, its result is not known: see `pasgate "
                "cert list`, then try again");
}
