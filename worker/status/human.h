/* Numbers as people read them, for the status page. Each writes into out and returns it. */
#ifndef WORKER_STATUS_HUMAN_H
#define WORKER_STATUS_HUMAN_H

#include <stdint.h>

enum { HUMAN_SIZE = 32 }; /* bytes; the longest text with its NUL is shorter */

const char *human_time(char out[HUMAN_SIZE], uint64_t ms); /* "7 s", "3 h 12 min" */
const char *human_us(char out[HUMAN_SIZE], uint64_t us);   /* "250 µs", "1.2 ms" */
/* Digits in groups of three, separated by a narrow space; from 100 million on in millions. */
const char *human_count(char out[HUMAN_SIZE], uint64_t n);
const char *human_bytes(char out[HUMAN_SIZE], uint64_t n); /* "1.5 KiB" */

#endif
