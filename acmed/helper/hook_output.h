/* What the operator's program prints, on its way to the log. The program does not write to the
 * log itself, because maybe nobody reads there.
 *
 * acmed/helper/hook_runner.c only. */
#ifndef ACMED_HELPER_HOOK_OUTPUT_H
#define ACMED_HELPER_HOOK_OUTPUT_H

#include <stddef.h>

enum {
    HOOK_LINE = 512,  /* bytes of a line that are logged */
    HOOK_LINES = 100, /* logged per run; the rest is discarded */
    HOOK_LAST = 96,   /* bytes of the last line that are reported, with NUL */
    HOOK_READS = 16,  /* per call */
    HOOK_BYTES = 4096 /* per read */
};

struct hook_output {
    int fd; /* our end of the pipe, non-blocking; -1: end of output */
    unsigned lines;
    size_t n;
    char line[HOOK_LINE + 1];
    char last[HOOK_LAST]; /* the last line that is not blank, any bytes */
};

/* Reads and logs what is there, but no more than HOOK_READS times HOOK_BYTES: the output may be
 * endless. Then fd is still readable. */
void hook_output_read(struct hook_output *output);

/* Logs what was printed of an unfinished line, and closes fd. */
void hook_output_end(struct hook_output *output);

#endif
