/* Session tickets of worker/tls/tls.h: on which worker, and for how long, they resume. */
#include "t/unit/tls_pair.h"

/* A TLS 1.2 client tells of a renewed ticket in the session only. */
static bool ticket_differs(const struct pair *p, const struct pair *q)
{
    const unsigned char *a = NULL, *b = NULL;
    size_t an = 0, bn = 0;

    SSL_SESSION_get0_ticket(p->ticket, &a, &an);
    SSL_SESSION_get0_ticket(q->ticket ? q->ticket : SSL_get0_session(q->ssl), &b, &bn);
    return an && bn && (an != bn || memcmp(a, b, an) != 0);
}

/* Whether a ticket of one engine (ring 1,2,3) resumes on another one. */
static void resumes(int version, const char *what, int current, int previous, int next,
                    const char *sni, bool want, bool reissued)
{
    struct tls_engine *one = engine_new(1, 2, 3), *two = engine_new(current, previous, next);
    struct pair p, q;

    pair_open(&p, one, version, "a.test", NULL);
    shake(&p);
    response(&p);
    pair_open(&q, two, version, sni, p.ticket);
    is_int(shake(&q), 1, "%x %s: handshake", version, what);
    is_int(tls_conn_resumed(q.conn), want, "%x %s: %sresumed", version, what,
           want ? "" : "not ");
    ok(response(&q), "%x %s: answered", version, what);
    if (reissued)
        ok(ticket_differs(&p, &q), "%x %s: a fresh ticket came", version, what);
    pair_close(&p);
    pair_close(&q);
    tls_engine_free(one);
    tls_engine_free(two);
}

static void test_tickets(void)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        resumes(version, "another worker", 1, 2, 3, "a.test", true, false);
        resumes(version, "after one rotation", 3, 1, 4, "a.test", true, true);
        resumes(version, "worker behind", 9, 8, 1, "a.test", true, true);
        resumes(version, "after two rotations", 4, 3, 5, "a.test", false, true);
        resumes(version, "another certificate", 1, 2, 3, "b.test", false, true);
    }
}

int main(void)
{
    pairs_open();
    test_tickets();
    pairs_close();
    return done();
}
