/* The result of each command about a certificate when several are given at once
 * (acmed/cert/reply.h). */
#include "acmed/cert/reply.h"

#include "t/unit/tap.h"

enum { ANN = 100, BEN = 200 };

static const struct cert_reply *of(const struct cert_row *row, int32_t pid)
{
    for (int i = 0; i < CERT_REPLIES; i++)
        if (row->replies[i].pid == pid)
            return &row->replies[i];
    static const struct cert_reply none;
    return &none;
}

static void live(struct cert_row *row, uint32_t generation)
{
    row->generation = generation;
    row->busy = 0;
    reply_settle(row, false, false);
}

static void two_revocations(void)
{
    struct cert_row row = {.generation = 2};

    reply_accept(&row, CERT_REVOKE, ANN, 2);
    reply_settle(&row, true, false);
    reply_refuse(&row, CERT_REVOKE, BEN, "busy");
    reply_settle(&row, true, false);
    is_int(row.requests, 2, "both are counted");
    is_int(of(&row, ANN)->state, CERT_REPLY_OPERATES, "the first one goes on");
    is_int(of(&row, BEN)->state, CERT_REPLY_REFUSED, "the second one was refused");
    is_str(of(&row, BEN)->text, "busy", "which it is told");
    row.busy = 1;
    reply_settle(&row, false, false);
    is_int(of(&row, ANN)->state, CERT_REPLY_ORDERS, "revoked: its replacement is awaited");
    live(&row, 3);
    is_int(of(&row, ANN)->state, CERT_REPLY_DONE, "it came");
    is_int(of(&row, ANN)->before, 2, "in place of the revoked one");
    is_int(of(&row, ANN)->generation, 3, "as the next generation");
    live(&row, 4);
    is_int(of(&row, ANN)->generation, 3, "what comes later does not change the result");
}

static void failed(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    reply_accept(&row, CERT_RENEW, BEN, 2);
    reply_accept(&row, CERT_REVOKE, ANN, 2);
    snprintf(row.reply, sizeof row.reply, "the CA says no");
    reply_settle(&row, false, false);
    is_int(of(&row, ANN)->state, CERT_REPLY_REFUSED, "the CA refuses the revocation");
    is_str(of(&row, ANN)->text, "the CA says no", "in these words");
    is_int(of(&row, BEN)->state, CERT_REPLY_ORDERS, "which is not the order's result");
    snprintf(row.error, sizeof row.error, "not reached");
    live(&row, 2);
    is_int(of(&row, BEN)->state, CERT_REPLY_DONE, "the order ends");
    is_str(of(&row, BEN)->text, "not reached", "with its own reason");
}

static void rolled_back(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    reply_accept(&row, CERT_RENEW_FORCE, BEN, 2);
    reply_accept(&row, CERT_ROLLBACK, ANN, 2);
    reply_settle(&row, false, true);
    is_int(of(&row, ANN)->state, CERT_REPLY_OPERATES, "the older pair is tested");
    row.generation = 3;
    reply_settle(&row, false, false);
    is_int(of(&row, ANN)->state, CERT_REPLY_DONE, "it is live");
    is_int(of(&row, BEN)->state, CERT_REPLY_REFUSED, "so the order is over");
    is_str(of(&row, BEN)->text, "its order was ended by `cert rollback`; generation 3 is live",
           "and why");

    reply_refuse(&row, CERT_ROLLBACK, ANN + 1, "there is no older one");
    row.busy = 1;
    reply_accept(&row, CERT_RENEW_FORCE, BEN + 1, 3);
    live(&row, 4);
    is_str(of(&row, ANN + 1)->text, "there is no older one",
           "a refused rollback keeps its reply when an order follows");
    is_int(of(&row, BEN + 1)->generation, 4, "whose result is its own");
}

static void account(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    reply_accept(&row, CERT_RENEW, BEN, 2);
    reply_accept(&row, CERT_ROLLOVER, ANN, 2);
    reply_settle(&row, true, false);
    is_int(of(&row, ANN)->state, CERT_REPLY_OPERATES, "the account gets a new key");
    reply_settle(&row, false, false);
    is_int(of(&row, ANN)->state, CERT_REPLY_DONE, "no order has to end for that");
    is_int(of(&row, BEN)->state, CERT_REPLY_ORDERS, "nor does it end one");
}

static void many(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    for (int i = 0; i < 10; i++)
        reply_refuse(&row, CERT_REVOKE, i + 1, "busy");
    is_int(of(&row, 10)->number, 10, "the newest is kept");
    is_int(of(&row, 7)->number, 7, "and as many as there are slots");
    is_int(of(&row, 6)->number, 0, "the oldest goes");
    for (int i = 0; i < CERT_REPLIES; i++) {
        ok(reply_has_room(&row), "room for one more");
        reply_accept(&row, CERT_RENEW, ANN + i, 2);
    }
    ok(!reply_has_room(&row), "until all are in progress");
}

static void successor(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    reply_accept(&row, CERT_RENEW, BEN, 2);
    reply_accept(&row, CERT_REVOKE, ANN, 2);
    reply_interrupted(&row);
    is_int(of(&row, BEN)->state, CERT_REPLY_ORDERS, "an order goes on");
    is_int(of(&row, ANN)->state, CERT_REPLY_REFUSED, "an operation does not");
    ok(strstr(of(&row, ANN)->text, "not known") != NULL, "and nobody knows its result");
}

/* acmed was killed between making a certificate live and forgetting its order. */
static void same(void)
{
    struct cert_row row = {.generation = 2, .busy = 1};

    reply_accept(&row, CERT_RENEW, BEN, 2);
    reply_accept(&row, CERT_RENEW_FORCE, ANN, 2);
    reply_same(&row);
    live(&row, 2);
    is_int(of(&row, BEN)->state, CERT_REPLY_DONE, "the open order gave what is live");
    is_str(of(&row, BEN)->text, "not due yet; its open order gave the certificate that is live",
           "as is told");
    is_str(of(&row, ANN)->text, "its open order gave the certificate that is live; try again",
           "and what to do to whom wanted a new one");
}

int main(void)
{
    two_revocations();
    failed();
    rolled_back();
    account();
    many();
    successor();
    same();
    return done();
}
