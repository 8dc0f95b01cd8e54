/* The last bytes of something long: a log, or what a program prints.
 *
 * Pure; one owner. Accepts any bytes, NULs too. */
#ifndef HEALTHD_RESTARTER_TAIL_H
#define HEALTHD_RESTARTER_TAIL_H

#include <stddef.h>
#include <stdint.h>

struct tail {
    char *bytes;    /* ring of cap bytes */
    size_t cap;     /* how many are kept */
    size_t at;      /* where the next one goes; the oldest if full */
    uint64_t total; /* number of all bytes added */
};

/* 0, or -1 without memory. release accepts {0}. */
int tail_init(struct tail *tail, size_t cap);
void tail_release(struct tail *tail);

void tail_add(struct tail *tail, const void *bytes, size_t n);

/* The kept bytes in order; *n: how many. Rearranges the ring. If bytes were lost, the first,
 * incomplete line is left out too. Valid until the next add. */
const char *tail_bytes(struct tail *tail, size_t *n);

/* The last line that is not only white space, printable, cut to fit; "" if
 * there is none. Returns out. */
char *tail_last_line(struct tail *tail, char *out, size_t cap);

/* Makes a foreign text fit for one line of ours: no control bytes, no incomplete UTF-8 sequence
 * at its end. Reads at most n bytes of it. Returns out. */
char *tail_plain(char *out, size_t cap, const char *text, size_t n);

#endif
