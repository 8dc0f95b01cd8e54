/* Which random histories a simulation runs: program [-n HISTORIES] [-s SEED] [-v] */
#ifndef T_SIM_HISTORY_OPTIONS_H
#define T_SIM_HISTORY_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct history_options {
    uint64_t n, seed; /* history number i of seed s is history 0 of seed s + i */
    bool verbose;
};

/* Ends the program if the command line is wrong. */
static inline struct history_options history_options(int argc, char **argv)
{
    struct history_options opt = {.n = 100000, .seed = 1};

    for (int c; (c = getopt(argc, argv, "n:s:v")) != -1;)
        switch (c) {
        case 'n':
            opt.n = strtoull(optarg, NULL, 10);
            break;
        case 's':
            opt.seed = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            opt.verbose = true;
            break;
        default:
            fprintf(stderr, "usage: %s [-n HISTORIES] [-s SEED] [-v]\n", argv[0]);
            exit(2);
        }
    return opt;
}

#endif
