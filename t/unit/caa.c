/* CAA (RFC 8659): replies as DNS servers send them, and as they should not. */
#include "acmed/net/caa.h"
#include "t/unit/tap.h"

enum { CRITICAL = 0x80, MAX = 2048 };

/* A reply that is put together record by record; the question is not repeated. */
static uint8_t reply[MAX];
static size_t size;

static void put(const void *bytes, size_t n)
{
    memcpy(reply + size, bytes, n);
    size += n;
}

static void begin(uint8_t rcode)
{
    const uint8_t head[12] = {0x12, 0x34, 0x81, rcode};

    size = 0;
    put(head, sizeof head);
}

/* Of "a.test"; type and class as given. */
static void record(uint16_t type, uint16_t class, const void *data, size_t n)
{
    const uint8_t fixed[] = {(uint8_t)(type >> 8),
                             (uint8_t)type,
                             (uint8_t)(class >> 8),
                             (uint8_t) class,
                             0,
                             0,
                             0,
                             60,
                             (uint8_t)(n >> 8),
                             (uint8_t)n};

    put("\1a\4test", 8);
    put(fixed, sizeof fixed);
    put(data, n);
    reply[7]++;
}

static void property(uint8_t flags, const char *tag, const char *value)
{
    uint8_t data[256] = {flags, (uint8_t)strlen(tag)};
    size_t n_tag = strlen(tag), n_value = strlen(value);

    memcpy(data + 2, tag, n_tag);
    memcpy(data + 2 + n_tag, value, n_value);
    record(CAA_TYPE, 1, data, 2 + n_tag + n_value);
}

static char why[CAA_TEXT];

static enum caa_verdict judged(bool wildcard)
{
    return caa_judge(reply, size, "ca.test, other.test", wildcard, why);
}

/* The verdict on one record alone. */
static enum caa_verdict one(uint8_t flags, const char *tag, const char *value, bool wildcard)
{
    begin(0);
    property(flags, tag, value);
    return judged(wildcard);
}

static void test_issue(void)
{
    begin(0);
    is_int(judged(false), CAA_NONE, "no record");
    begin(3);
    is_int(judged(false), CAA_NONE, "no name");
    is_int(one(0, "issue", "ca.test", false), CAA_ALLOWS, "ours");
    is_int(one(0, "issue", "other.test", false), CAA_ALLOWS, "its other name");
    is_int(one(0, "ISSUE", " CA.Test ; account=1", false), CAA_ALLOWS,
           "in capitals, with parameters");
    is_int(one(0, "issue", "evil.test", false), CAA_FORBIDS, "another CA's");
    is_str(why, "0 issue \"evil.test\"", "which is told");
    is_int(one(0, "issue", "sub.ca.test", false), CAA_FORBIDS, "a name below ours");
    is_int(one(0, "issue", ";", false), CAA_FORBIDS, "';': nobody");
    is_int(one(0, "issue", "", false), CAA_FORBIDS, "nothing: nobody");
    begin(0);
    property(0, "issue", "evil.test");
    property(0, "issue", "ca.test");
    is_int(judged(false), CAA_ALLOWS, "one of several is enough");
    is_int(one(0, "iodef", "mailto:a@a.test", false), CAA_ALLOWS, "no issue at all");
}

static void test_wildcards(void)
{
    is_int(one(0, "issue", "ca.test", true), CAA_ALLOWS, "a wildcard goes by issue");
    is_int(one(0, "issue", ";", true), CAA_FORBIDS, "also against it");
    is_int(one(0, "issuewild", ";", false), CAA_ALLOWS, "issuewild is not about others");
    is_int(one(0, "issuewild", ";", true), CAA_FORBIDS, "but about wildcards");
    begin(0);
    property(0, "issue", "ca.test");
    property(0, "issuewild", "evil.test");
    is_int(judged(true), CAA_FORBIDS, "of both, issuewild counts for a wildcard");
    is_str(why, "0 issuewild \"evil.test\"", "and is told");
    is_int(judged(false), CAA_ALLOWS, "issue for the others");
    begin(0);
    property(0, "issue", ";");
    property(0, "issuewild", "ca.test");
    is_int(judged(true), CAA_ALLOWS, "the other way round");
    is_int(judged(false), CAA_FORBIDS, "too");
}

static void test_critical(void)
{
    is_int(one(CRITICAL, "tbs", "Unknown", false), CAA_FORBIDS, "unknown and critical");
    is_str(why, "128 tbs \"Unknown\"", "which is told");
    is_int(one(0, "tbs", "Unknown", false), CAA_ALLOWS, "unknown only");
    is_int(one(CRITICAL, "issue", "ca.test", false), CAA_ALLOWS, "critical, but known");
    begin(0);
    property(0, "issue", "ca.test");
    property(CRITICAL, "tbs", "Unknown");
    is_int(judged(false), CAA_FORBIDS, "beside one that is ours");
}

static void test_climbing(void)
{
    const char *name = "www.shop.test";

    is_str(name = caa_parent(name), "shop.test", "from a name to its parent");
    is_str(name = caa_parent(name), "test", "to the top-level domain");
    is_str(caa_parent(name), NULL, "no further");
    is_str(caa_parent("test."), NULL, "not to the root");
    is_str(caa_parent(""), NULL, "of nothing: nowhere");
}

static void test_bad(void)
{
    const uint8_t long_tag[] = {0, 9, 'i', 's'}, no_tag[] = {0, 0, 'x'};
    static const char alias[] = "\1b\4test";

    begin(2);
    is_int(judged(false), CAA_BAD, "SERVFAIL says nothing");
    begin(0);
    record(CAA_TYPE, 1, long_tag, sizeof long_tag);
    is_int(judged(false), CAA_BAD, "a tag that is longer than its record");
    begin(0);
    record(CAA_TYPE, 1, no_tag, sizeof no_tag);
    is_int(judged(false), CAA_BAD, "no tag");
    begin(0);
    record(CAA_TYPE, 1, no_tag, 1);
    is_int(judged(false), CAA_BAD, "one byte");
    begin(0);
    record(5, 1, alias, sizeof alias);
    is_int(judged(false), CAA_NONE, "an alias only");
    property(0, "issue", ";");
    is_int(judged(false), CAA_FORBIDS, "an alias, and what stands there");
    begin(0);
    record(CAA_TYPE, 3, "\0\5issue;", 8);
    is_int(judged(false), CAA_NONE, "of another class");
    one(0, "issue", "\x1b[31m\n\xff", false);
    is_str(why, "0 issue \"?[31m??\"", "what is shown is plain");
    for (size_t n = 0; one(0, "issue", "ca.test", false), n < size; n++)
        if (caa_judge(reply, n, "ca.test", false, why) != CAA_BAD)
            fail("cut off after %zu bytes", n);
    pass("cut off anywhere");
}

int main(void)
{
    test_issue();
    test_wildcards();
    test_critical();
    test_climbing();
    test_bad();
    return done();
}
