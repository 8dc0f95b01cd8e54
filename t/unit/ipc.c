/* The packets between acmed and its network helper: what fits goes there and back; what does
 * not is refused as a whole. */
#include "acmed/net/ipc.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acmed/net/transport.h"
#include "acmed/order/job.h"
#include "t/unit/tap.h"

static char packet[IPC_MAX], scratch[IPC_MAX];

static const struct ipc_message sign = {.type = IPC_SIGN,
                                        .sign = {.how = IPC_WITH_KID,
                                                 .url = STR_INIT("https://ca.test/order"),
                                                 .nonce = STR_INIT("abc_-9"),
                                                 .kid = STR_INIT("https://ca.test/acct/1"),
                                                 .payload = STR_INIT("{\"a\":\"\\u0000\"}")}};

static void test_round_trip(void)
{
    struct ipc_message got;
    size_t n = ipc_encode(&sign, packet, sizeof packet);

    ok(n > 0 && ipc_decode(&got, packet, n), "a question goes through");
    is_int(got.type, IPC_SIGN, "  its type");
    ok(got.sign.how == IPC_WITH_KID && str_eq(got.sign.url, sign.sign.url) &&
           str_eq(got.sign.nonce, sign.sign.nonce) && str_eq(got.sign.kid, sign.sign.kid) &&
           str_eq(got.sign.payload, sign.sign.payload),
       "  all fields");
    for (size_t i = 0; i < n; i++)
        if (ipc_decode(&got, packet, i)) {
            fail("cut to %zu bytes, it is taken", i);
            break;
        }
    pass("cut anywhere, it is refused");
    packet[n] = 'x';
    ok(!ipc_decode(&got, packet, n + 1), "with a byte more, too");
    for (size_t cap = 0; cap < n; cap++)
        if (ipc_encode(&sign, scratch, cap) != 0) {
            fail("encoded into %zu bytes", cap);
            break;
        }
    pass("it is not encoded into less than it needs");
}

static void refused(const struct ipc_message *ask, const char *why)
{
    is_int(ipc_encode(ask, packet, sizeof packet), 0, "refused: %s", why);
}

static void test_bounds(void)
{
    static char big[JOB_CHAIN_MAX + 1];
    static const char *const targets[] = {"a b.test", "$(id).test", "-n", ".ssh", "a/b", "a;b"};
    struct ipc_message a = sign;

    a.sign.url = STR("http://ca.test/");
    refused(&a, "plain http");
    a.sign.url = STR("https://ca.test/\"x");
    refused(&a, "a quote in a URL");
    a = sign;
    a.sign.nonce = STR("a b");
    refused(&a, "a nonce with a space");
    a = sign;
    a.sign.how = IPC_HOWS;
    refused(&a, "an unknown way to sign");
    a = (struct ipc_message){
        .type = IPC_PUT, .challenge = {.kind = 1, .token = STR("../x"), .name = STR("a.test")}};
    refused(&a, "a token that is a path");
    a.challenge.token = STR("");
    refused(&a, "no token");
    a.challenge.token = STR("abc");
    a.challenge.name = STR("a\ntest");
    refused(&a, "a name of two lines");
    a.challenge.name = STR("a.test");
    a.challenge.target = STR("_acme-challenge.a.test");
    ok(ipc_encode(&a, packet, sizeof packet) > 0, "a target for a record");
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        a.challenge.target = str_from(targets[i]);
        refused(&a, targets[i]);
    }
    a = (struct ipc_message){.type = IPC_CHAIN, .chain = {.pem = str_make(big, sizeof big)}};
    refused(&a, "a chain that is too long");
    a.chain.pem.n--;
    ok(ipc_encode(&a, packet, sizeof packet) > 0, "one byte less fits");
    a = (struct ipc_message){.type = IPC_TYPES};
    refused(&a, "an unknown type");
    a = (struct ipc_message){0};
    refused(&a, "none");
}

static void test_socket(void)
{
    struct ipc_message got;
    int pair[2];

    is_int(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0, "a pair");
    ok(ipc_send(pair[0], &sign, scratch), "sent");
    is_int(ipc_recv(pair[1], &got, packet), 1, "received");
    is_int(ipc_recv(pair[1], &got, packet), -1, "nothing more");
    is_int(errno, EAGAIN, "  for now");
    ok(send(pair[0], "nonsense", 8, 0) == 8, "nonsense is sent");
    is_int(ipc_recv(pair[1], &got, packet), -1, "  and refused");
    is_int(errno, EPROTO, "  as such");
    close(pair[0]);
    is_int(ipc_recv(pair[1], &got, packet), 0, "the other end has gone");
    ok(!ipc_send(pair[1], &sign, scratch), "nothing is sent to it");
    close(pair[1]);
}

/* Headers of a CA: what transport.c makes of them. */
static void test_headers(void)
{
    static const uint64_t now = UINT64_C(1795396817000); /* 2026-11-23T01:20:17Z */
    struct transport_reply r = {0};

    transport_header(&r, STR("Retry-After: 120"), now);
    ok(r.has_retry_after && r.retry_after_s == 120, "Retry-After in seconds");
    transport_header(&r, STR("retry-after:  Mon, 23 Nov 2026 01:25:17 GMT"), now);
    is_int(r.retry_after_s, 300, "and as a date");
    transport_header(&r, STR("Date: Mon, 23 Nov 2026 01:24:17 GMT"), now);
    transport_header(&r, STR("Retry-After: Mon, 23 Nov 2026 01:25:17 GMT"), now);
    is_int(r.retry_after_s, 60, "counted from the CA's own Date");
    r = (struct transport_reply){0};
    transport_header(&r, STR("Retry-After: Mon, 23 Nov 2026 01:25:17 GMT"), now);
    transport_header(&r, STR("Date: Mon, 23 Nov 2026 01:24:17 GMT"), now);
    is_int(r.retry_after_s, 60, "a date is reckoned by that answer's own Date, also before it");
    transport_header(&r, STR("Retry-After: Mon, 23 Nov 2020 01:25:17 GMT"), now);
    is_int(r.retry_after_s, 0, "one that has passed is now");
    transport_header(&r, STR("Retry-After: 99999999999999999999999999"), now);
    is_int(r.retry_after_s, TRANSPORT_RETRY_MAX_S, "a huge one is cut");
    r = (struct transport_reply){0};
    transport_header(&r, STR("Retry-After: soon"), now);
    transport_header(&r, STR("Retry-After: "), now);
    ok(!r.has_retry_after, "nonsense is none");

    transport_header(&r, STR("Replay-Nonce: abc-_1"), now);
    is_str(r.nonce, "abc-_1", "a nonce");
    transport_header(&r, STR("Replay-Nonce: a=b"), now);
    is_str(r.nonce, "abc-_1", "one that is none is not taken");
    transport_header(&r, STR("Location: https://ca.test/order/1"), now);
    is_str(r.location, "https://ca.test/order/1", "a location");
    transport_header(&r, STR("Location: file:///etc/passwd"), now);
    is_str(r.location, "https://ca.test/order/1", "but not that one");

    transport_header(
        &r,
        STR("Link: <https://ca.test/dir>;rel=\"index\", "
            "<https://ca.test/c/1>; title=\"a, b\"; rel=\"alternate\",<x>;rel=alternate"),
        now);
    transport_header(&r, STR("Link: <https://ca.test/c/2>;rel=alternate"), now);
    is_int(r.n_alternates, 2, "two alternate chains");
    is_str(r.alternates[0], "https://ca.test/c/1", "  the first");
    is_str(r.alternates[1], "https://ca.test/c/2", "  the second");
    transport_header(&r, STR("Link: >;rel=alternate<"), now);
    transport_header(&r, STR("Link: <https://ca.test/"), now);
    is_int(r.n_alternates, 2, "  nothing more");
    for (int i = 0; i < 20; i++)
        transport_header(&r, STR("Link: <https://ca.test/c/3>;rel=alternate"), now);
    is_int(r.n_alternates, TRANSPORT_ALTERNATES, "no more than there is room for");
    is_str(r.terms, "", "no terms of service yet");
    transport_header(&r,
                     STR("Link: <https://ca.test/dir>;rel=\"index\", "
                         "<https://ca.test/tos/9>;rel=\"terms-of-service\""),
                     now);
    is_str(r.terms, "https://ca.test/tos/9", "now there are");
    transport_header(&r, STR("Link: <data:text/plain,x>;rel=\"terms-of-service\""), now);
    is_str(r.terms, "https://ca.test/tos/9", "but not such ones");

    transport_header(&r, STR("HTTP/1.1 201 Created: see Location"), now);
    ok(r.n_alternates == 0 && r.nonce[0] == '\0' && r.location[0] == '\0',
       "a status line begins anew, also with a colon in its reason phrase");
    transport_header(&r, STR("Replay-Nonce: abc-_2"), now);
    transport_header(&r, STR("HTTP: 1"), now);
    is_str(r.nonce, "abc-_2", "a header of that name does not");
}

static bool same(const char *a, const char *b)
{
    return ipc_same_name(str_from(a), str_from(b));
}

static void test_names(void)
{
    ok(same("Shop.test", "shop.TEST") && same("192.0.2.7", "192.0.2.7"), "one name");
    ok(same("2001:DB8::1", "2001:db8:0::1") && same("::1", "0:0:0:0:0:0:0:1"),
       "one address, however it is written");
    ok(!same("2001:db8::1", "2001:db8::2") && !same("a.test", "b.test") &&
           !same("192.0.2.7", "::ffff:192.0.2.7") && !same("", "::"),
       "two");
}

int main(void)
{
    test_round_trip();
    test_bounds();
    test_socket();
    test_headers();
    test_names();
    return done();
}
