/* Affinity: whatever a peer writes, slices stay inside; a tagged value comes back byte for
 * byte; and nothing that was not made with the key is ever taken for a tag. */
#include "worker/http/affinity.h"
#include "t/fuzz/fuzz.h"

static void check_no_tag(const struct affinity_key *key, struct str value)
{
    struct str bare;
    uint32_t id;

    HOLDS(!affinity_untag(key, value, &bare, &id));
    HOLDS(!affinity_token_check(key, value, STR("PASGATE_pas"), &id));
}

static void check_tag(const struct affinity_key *key, struct str value, uint32_t id)
{
    char *with = malloc(value.n + AFFINITY_TAG);
    struct str all = str_make(with, value.n + AFFINITY_TAG), bare;
    uint32_t found;

    if (value.n)
        memcpy(with, value.p, value.n);
    affinity_tag(with + value.n, key, id, value);
    HOLDS(affinity_untag(key, all, &bare, &found));
    HOLDS(str_eq(bare, value) && found == id);
    with[id % all.n] ^= (char)(1 << (id >> 16 & 7));
    HOLDS(!affinity_untag(key, all, &bare, &found));
    free(with);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[AFFINITY_KEY] = {4, 8, 15, 16, 23, 42};
    struct affinity_key key = affinity_key(secret);
    char *in = fuzz_copy(data, size);
    struct str all = str_make(in, size), rest = all, value;
    struct affinity_cookie c;
    uint32_t id = size >= 4 ? (uint32_t)data[0] << 24 | (uint32_t)data[size / 2] << 16 |
                                  (uint32_t)data[size / 3] << 8 | data[size - 1]
                            : 5;

    for (struct str before = rest; affinity_next_cookie(&rest, STR("JSESSIONID"), &c);
         before = rest) {
        HOLDS(fuzz_inside(c.value, in, size) && fuzz_inside(c.whole, in, size));
        HOLDS(rest.n < before.n && c.whole.n >= c.value.n + 11);
        check_no_tag(&key, c.value);
        check_tag(&key, c.value, id);
    }
    rest = all;
    for (struct str before = rest; affinity_next_param(&rest, &value); before = rest) {
        HOLDS(fuzz_inside(value, in, size) && rest.n < before.n);
        HOLDS(str_index(value, '/') == value.n && str_index(value, ';') == value.n);
        check_no_tag(&key, value);
        check_tag(&key, value, id);
    }
    if (affinity_set_cookie(all, STR("JSESSIONID"), &value))
        HOLDS(fuzz_inside(value, in, size) && str_index(value, ';') == value.n);
    HOLDS(fuzz_inside(affinity_argument(all, STR("CONNHDL")), in, size));
    HOLDS(fuzz_inside(affinity_route(all, false), in, size));
    HOLDS(affinity_route(all, true).n <= affinity_route(all, false).n);
    HOLDS(affinity_handle(&key, all) != 0);
    check_no_tag(&key, all);
    check_tag(&key, all, id);
    free(in);
    return 0;
}
