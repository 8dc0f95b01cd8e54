#include "worker/core/request_id.h"

#include <stdint.h>
#include <string.h>

#include "base/siphash.h"
#include "worker/core/core.h"

/* Eight hex digits, the lowest first: one nibble in each byte, then 0 to 9 or a to f. */
static void put_hex(char out[8], uint32_t bits)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t x = bits;

    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    x += ones * '0' + ((x + ones * 6) >> 4 & ones) * ('a' - '0' - 10);
    memcpy(out, &x, 8);
}

/* A keyed hash of a counter: nobody who has seen any number of ids can tell another one, of
 * earlier or later requests. */
void request_id_make(struct worker *w, char out[32])
{
    uint64_t bits[2];

    siphash_word(&w->id_key, w->id_count++, bits);
    for (int i = 0; i < 2; i++) {
        put_hex(out + i * 16, (uint32_t)bits[i]);
        put_hex(out + i * 16 + 8, (uint32_t)(bits[i] >> 32));
    }
}
