/* worker/tls/warm.c: which connections keep OpenSSL's buffers between their requests. */
#include "t/unit/tls_pair.h"
#include "worker/tls/internal.h"

enum { MORE = 20, PAIRS = TLS_WARM + MORE, PART = 10000 };

static struct pair pairs[PAIRS];

static bool releases(const struct pair *p)
{
    return SSL_get_mode(p->conn->ssl) & SSL_MODE_RELEASE_BUFFERS;
}

/* How many of these keep their buffers; -1: for one, its place and OpenSSL's mode differ. */
static int kept(int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        if (releases(&pairs[i]) != !pairs[i].conn->place)
            return -1;
        n += pairs[i].conn->place != 0;
    }
    return n;
}

static bool in_turn(int from, int to, int rounds)
{
    bool good = true;

    for (int i = 0; i < rounds; i++)
        for (int j = from; j < to; j++)
            good &= response(&pairs[j]);
    return good;
}

static void test_places(struct tls_engine *engine)
{
    uint8_t before[PAIRS];
    bool good = true, same = true;

    for (int i = 0; i < PAIRS; i++)
        good &=
            pair_open(&pairs[i], engine, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION, NULL, NULL) &&
            shake(&pairs[i]) == 1;
    ok(good, "%d connections", PAIRS);
    is_int(kept(0, PAIRS), 0, "none keeps its buffers after the handshake");
    ok(in_turn(0, PAIRS, 1), "each has one response");
    is_int(kept(0, PAIRS), 0, "nor after the first response");
    ok(in_turn(0, PAIRS, 3), "more responses");
    is_int(kept(0, PAIRS), TLS_WARM, "as many as there are places keep them");
    for (int i = 0; i < PAIRS; i++)
        before[i] = pairs[i].conn->place;
    ok(in_turn(0, PAIRS, 3), "all are equally busy");
    for (int i = 0; i < PAIRS; i++)
        same &= before[i] == pairs[i].conn->place;
    ok(same, "so none takes the place of another");
    ok(in_turn(MORE, PAIRS, 20), "the first ones fall silent");
    is_int(kept(MORE, PAIRS), TLS_WARM, "those that are in use have all places");
    is_int(kept(0, MORE), 0, "and the silent ones have none");
    ok(in_turn(0, MORE, 2), "which are served as before");
}

/* One that loses its place in the middle of a record. */
static void test_part(void)
{
    static char sent[PART], got[PART];
    struct pair *p = &pairs[0];
    ssize_t n = 0, more;
    size_t wrote = 0;

    in_turn(0, MORE, 20);
    ok(p->conn->place > 0, "one that has a place");
    for (int i = 0; i < PART; i++)
        sent[i] = (char)(i * 7);
    SSL_write_ex(p->ssl, sent, PART, &wrote);
    is_int(tls_read(p->conn, got, sizeof got), TLS_AGAIN, "sends a part of a record");
    ok(in_turn(1, PAIRS, 20), "the others are busy");
    is_int(p->conn->place, 0, "it loses its place");
    for (int i = 0; i < 50 && n < PART; i++) {
        if (!wrote)
            SSL_write_ex(p->ssl, sent, PART, &wrote);
        if ((more = tls_read(p->conn, got + n, sizeof got - (size_t)n)) > 0)
            n += more;
    }
    is_mem(got, (size_t)n, sent, PART, "and no byte of the record");
}

static void test_gone(struct tls_engine *engine)
{
    int held = 0;

    for (int i = 0; i < PAIRS; i++)
        pair_close(&pairs[i]);
    for (int i = 0; i < TLS_WARM; i++)
        held += engine->warm[i] != NULL;
    is_int(held, 0, "no place is held by a connection that is gone");
}

int main(void)
{
    struct tls_engine *engine;

    pairs_open();
    engine = engine_new(1, 2, 3);
    test_places(engine);
    test_part();
    test_gone(engine);
    tls_engine_free(engine);
    pairs_close();
    return done();
}
