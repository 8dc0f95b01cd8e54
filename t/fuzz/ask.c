/* Packets of the network helper: one that is taken is encoded to the same bytes again. */
#include "acmed/net/ipc.h"
#include "t/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char again[IPC_MAX];
    char *copy = fuzz_copy(data, size);
    struct ipc_message ask;

    if (ipc_decode(&ask, copy, size)) {
        HOLDS(ipc_encode(&ask, again, sizeof again) == size);
        HOLDS(memcmp(again, copy, size) == 0);
    }
    free(copy);
    return 0;
}
