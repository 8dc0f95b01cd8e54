/* SipHash-2-4: vectors of the reference implementation (key 00 01 .. 0f, message 00 01 ..). */
#include "base/siphash.h"

#include "t/unit/tap.h"

static const struct {
    size_t n;
    uint64_t want;
} vectors[] = {
    {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
    {2, UINT64_C(0x0d6c8009d9a94f5a)},  {3, UINT64_C(0x85676696d7fb7e2d)},
    {4, UINT64_C(0xcf2794e0277187b7)},  {5, UINT64_C(0x18765564cd99a68d)},
    {6, UINT64_C(0xcbc9466e58fee3ce)},  {7, UINT64_C(0xab0200f58b01d137)},
    {8, UINT64_C(0x93f5f5799a932462)},  {15, UINT64_C(0xa129ca6149be45e5)},
    {63, UINT64_C(0x958a324ceb064572)},
};

int main(void)
{
    uint8_t bytes[64];
    struct siphash_key key;

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    key = siphash_key(bytes);
    for (unsigned i = 0; i < sizeof vectors / sizeof *vectors; i++)
        ok(siphash(&key, bytes, vectors[i].n) == vectors[i].want, "%zu bytes", vectors[i].n);

    uint64_t pair[2];
    siphash_word(&key, UINT64_C(0x0706050403020100), pair);
    ok(pair[0] == UINT64_C(0x61f55862baa9623b) && pair[1] == UINT64_C(0xb49714f364e2830f),
       "128 bits of one word");

    bool same = true;
    for (size_t a = 0; a <= 63; a++) {
        for (size_t b = a; b <= 63; b++) {
            struct siphash h;

            siphash_begin(&h, &key);
            siphash_add(&h, bytes, a);
            siphash_add(&h, bytes + a, b - a);
            siphash_add(&h, bytes + b, 63 - b);
            same &= siphash_end(&h) == vectors[10].want;
        }
    }
    ok(same, "in any three pieces the same");
    return done();
}
