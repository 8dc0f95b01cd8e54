#include "worker/request_id.h"

#include <stdint.h>

#include "base/siphash.h"
#include "worker/core.h"

/* A keyed hash of a counter: nobody who has seen any number of ids can tell another one, of
 * earlier or later requests. */
void request_id_make(struct worker *w, char out[32])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t count[2] = {w->id_count++, 0}, bits[2];

    for (int i = 0; i < 2; i++) {
        count[1] = (uint64_t)i;
        bits[i] = siphash(&w->id_key, count, sizeof count);
    }
    for (int i = 0; i < 32; i++)
        out[i] = hex[bits[i / 16] >> (i % 16 * 4) & 15];
}
