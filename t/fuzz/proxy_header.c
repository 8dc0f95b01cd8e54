/* The PROXY header: the same result in one piece and byte by byte, and its length is within
 * what came and within the limit. */
#include "worker/conn/proxy_header.h"
#include "t/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header h, again;
    char *copy = fuzz_copy(data, size);
    int all = proxy_header_parse((const uint8_t *)copy, size, &h), part = 0;
    size_t i = 0;

    free(copy);
    HOLDS(all <= (int)size && all <= PROXY_HEADER_MAX);
    HOLDS(all != 0 || size < PROXY_HEADER_MAX);
    for (; part == 0 && i <= size && i <= PROXY_HEADER_MAX; i++) {
        copy = fuzz_copy(data, i);
        part = proxy_header_parse((const uint8_t *)copy, i, &again);
        free(copy);
    }
    HOLDS(part == all);
    if (all > 0) {
        HOLDS((int)i - 1 == all);
        HOLDS(memcmp(&h, &again, sizeof h) == 0);
        HOLDS(h.local || h.client.any.sa_family == AF_INET ||
              h.client.any.sa_family == AF_INET6);
    }
    return 0;
}
