/* FNV-1a: what the store and the name of the table depend on; and the wait that doubles. */
#include "base/hash.h"

#include "base/doubling.h"
#include "t/unit/tap.h"

static void test_hash(void)
{
    /* From the authors' test vectors. */
    ok(hash_text(HASH_START, "") == UINT64_C(0xcbf29ce484222325), "of nothing");
    ok(hash_text(HASH_START, "a") == UINT64_C(0xaf63dc4c8601ec8c), "a byte");
    ok(hash_text(HASH_START, "foobar") == UINT64_C(0x85944171f73967e8), "a word");
    ok(hash_bytes(HASH_START, "foobar", 7) == UINT64_C(0x34531ca7168b8f38), "with its NUL");
    ok(hash_name(HASH_START, "foobar") == UINT64_C(0x34531ca7168b8f38), "  as a name has it");
    ok(hash_name(hash_name(HASH_START, "ab"), "c") !=
           hash_name(hash_name(HASH_START, "a"), "bc"),
       "two names do not run together");
}

static void test_doubling(void)
{
    is_int(doubling_ms(100, 10000, 0), 100, "none yet: as the first");
    is_int(doubling_ms(100, 10000, 1), 100, "the first wait");
    is_int(doubling_ms(100, 10000, 2), 200, "the second");
    is_int(doubling_ms(100, 10000, 7), 6400, "the seventh");
    is_int(doubling_ms(100, 10000, 8), 10000, "the longest");
    is_int(doubling_ms(100, 10000, UINT32_MAX), 10000, "for good");
    is_int(doubling_ms(100, 50, 1), 50, "never more than that");
    is_int(doubling_ms(0, 50, UINT32_MAX), 0, "0 stays 0");
}

int main(void)
{
    test_hash();
    test_doubling();
    return done();
}
