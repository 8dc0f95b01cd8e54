/* replay: gives files to a fuzz target once, without libFuzzer: for coverage, and to see what
 * one input does.
 *
 *     replay/NAME FILE...
 */
#include <stdio.h>

#include "t/fuzz/fuzz.h"

enum { INPUT_MAX = 1024 * 1024 };

int main(int argc, char **argv)
{
    static uint8_t bytes[INPUT_MAX];

    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");

        if (!in) {
            perror(argv[i]);
            return 2;
        }
        LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof bytes, in));
        fclose(in);
    }
    return 0;
}
