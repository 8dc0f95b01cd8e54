#include "worker/core/request_id.h"

#include <stdint.h>
#include <string.h>

#include "base/siphash.h"
#include "worker/core/core.h"

/* Sixteen bytes at once, in one register where the machine has such. */
typedef uint8_t octets __attribute__((vector_size(16)));

/* Nibbles as hex digits. A comparison gives 0 or 0xff in each byte. */
static inline octets digits(octets nibbles)
{
    return nibbles + '0' + ((octets)(nibbles > 9) & ('a' - '0' - 10));
}

/* A keyed hash of a counter: nobody who has seen any number of ids can tell another one, of
 * earlier or later requests. */
void request_id_make(struct worker *w, char out[32])
{
    uint64_t bits[2];
    octets bytes, text;

    siphash_word(&w->id_key, w->id_count++, bits);
    memcpy(&bytes, bits, sizeof bytes);
    text = digits(bytes & 0x0f);
    memcpy(out, &text, sizeof text);
    text = digits(bytes >> 4);
    memcpy(out + sizeof text, &text, sizeof text);
}
