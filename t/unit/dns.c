/* Addresses in a reply of a DNS server, and what a hostile one sends. */
#include <stdlib.h>

#include "acmed/net/caa.h"
#include "acmed/net/dns.h"
#include "t/unit/tap.h"

enum { MAX = 1024 };

static uint8_t reply[MAX];
static size_t size;

static void put(const void *bytes, size_t n)
{
    memcpy(reply + size, bytes, n);
    size += n;
}

/* A reply to "a.test" that says to hold so many answers. */
static void begin(uint8_t responses)
{
    const uint8_t head[12] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, responses};

    size = 0;
    put(head, sizeof head);
    put("\1a\4test\0\0\1\0\1", 12);
}

/* owner: its bytes; length: what the record says of itself. */
static void response(const void *owner, size_t n_owner, uint8_t type, uint8_t length,
                     const void *data, size_t n)
{
    const uint8_t fixed[] = {0, type, 0, 1, 0, 0, 0, 60, 0, length};

    put(owner, n_owner);
    put(fixed, sizeof fixed);
    put(data, n);
}

#define OWNER "\xc0\x0c", 2 /* points at the question */

static size_t n;
static char out[DNS_ADDRESSES][DNS_ADDRESS];

static size_t read_all(bool v6)
{
    n = 0;
    memset(out, 0, sizeof out);
    dns_read_addresses(reply, size, v6, out, &n);
    return n;
}

static const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};

static void test_good(void)
{
    begin(3);
    response(OWNER, 5, 4, "\1b\xc0\xe", 4); /* CNAME */
    response(OWNER, 1, 4, "\xc0\0\2\1", 4);
    response(OWNER, 1, 4, "\xc0\0\2\2", 4);
    is_int(read_all(false), 2, "behind an alias, both addresses");
    is_str(out[0], "192.0.2.1", "the first");
    is_str(out[1], "192.0.2.2", "the second");
    is_int(read_all(true), 0, "none is of IPv6");
    begin(1);
    response(OWNER, 28, 16, six, 16);
    is_int(read_all(true), 1, "one of IPv6");
    is_str(out[0], "2001:db8::1", "numeric");
    begin(DNS_ADDRESSES + 4);
    for (int i = 0; i < DNS_ADDRESSES + 4; i++)
        response(OWNER, 1, 4, "\xc0\0\2\1", 4);
    is_int(read_all(false), DNS_ADDRESSES, "of many, as many as there is room for");
    dns_read_addresses(reply, size, false, out, &n);
    is_int(n, DNS_ADDRESSES, "nor more in a second round");
}

static void test_hostile(void)
{
    char why[CAA_TEXT];

    begin(1);
    response("\xc0\x18", 2, 1, 4, "\xc0\0\2\1", 4);
    is_int(read_all(false), 0, "an owner that points at itself");
    is_int(caa_judge(reply, size, "ca.test", false, why), CAA_BAD, "nor is it read for CAA");
    begin(1);
    response("\xc0\x1a\xc0\x18", 4, 1, 4, "\xc0\0\2\1", 4);
    is_int(read_all(false), 0, "two that point at each other");
    begin(1);
    response("\xff\xff", 2, 1, 4, "\xc0\0\2\1", 4);
    is_int(read_all(false), 0, "one that points beyond the end");
    begin(1);
    response(OWNER, 1, 200, "\xc0\0\2\1", 4);
    is_int(read_all(false), 0, "data that is said to be longer than it is");
    begin(2);
    response(OWNER, 1, 3, "\xc0\0\2", 3);
    response(OWNER, 1, 16, six, 16);
    is_int(read_all(false), 0, "addresses of another length");
    begin(255);
    response(OWNER, 1, 4, "\xc0\0\2\1", 4);
    ok(read_all(false) <= 1, "fewer answers than announced");
    begin(1);
    put("\x3f", 1);
    is_int(read_all(false), 0, "a label that ends with the packet");
    size = 0;
    is_int(read_all(false), 0, "nothing");
    n = 0;
    dns_read_addresses(reply, (size_t)DNS_REPLY + 1, false, out, &n);
    is_int(n, 0, "more than any reply has");
}

/* Each length in memory of its own, so that a sanitizer or valgrind sees a byte too far. */
static void test_cut_off(void)
{
    size_t whole, bad = 0;

    begin(2);
    response(OWNER, 1, 4, "\xc0\0\2\1", 4);
    response(OWNER, 1, 4, "\xc0\0\2\2", 4);
    whole = size;
    for (size_t i = 0; i < whole; i++) {
        uint8_t *copy = malloc(i + 1);

        memcpy(copy, reply, i);
        n = 0;
        dns_read_addresses(copy, i, false, out, &n);
        bad += n > 1;
        free(copy);
    }
    is_int(bad, 0, "cut off anywhere: never more than what is whole");
}

int main(void)
{
    test_good();
    test_hostile();
    test_cut_off();
    return done();
}
