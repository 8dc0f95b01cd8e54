/* How much a client may make an HTTP/2 connection work without need (pure; worker only).
 *
 * Two accounts. Resets: streams that end early because of the client, whichever side resets
 * them ("rapid reset", CVE-2023-44487; "MadeYouReset", CVE-2025-8671). Frames: those that carry
 * nothing by themselves (SETTINGS, PING, PRIORITY, empty DATA, WINDOW_UPDATE, unknown and late
 * ones). Useful bytes in either direction, and requests, earn some, because honest clients send
 * a few such frames with each. */
#ifndef WORKER_CONN_H2_BUDGET_H
#define WORKER_CONN_H2_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
    H2_BUDGET_RESETS = 100,           /* of one connection, in H2_BUDGET_RESETS_MS */
    H2_BUDGET_RESETS_MS = 10000,      /* after this time they are forgiven, evenly */
    H2_BUDGET_FRAMES = 2000,          /* the most that an account of frames holds */
    H2_BUDGET_FRAMES_S = 20,          /* earned in a second */
    H2_BUDGET_FRAMES_OF_REQUEST = 16, /* earned by a request */
    H2_BUDGET_BYTES_OF_FRAME = 512,   /* useful bytes that earn a frame */
    H2_BUDGET_ACKS = 200,            /* replies to PING and SETTINGS that wait for the client */
    H2_BUDGET_CONTINUATIONS = 8,     /* frames of one header block, besides the first */
    H2_BUDGET_BLOCK = 64 * 1024,     /* bytes of one header block */
    H2_BUDGET_DECODED = 1024 * 1024, /* bytes of discarded header blocks, decoded, that a
                                        connection may cause in H2_BUDGET_RESETS_MS */
};

struct h2_budget {
    uint64_t since_ms; /* when the accounts were last brought up to date */
    uint32_t resets;   /* 1/1000 of resets, so far not forgiven */
    int32_t frames;    /* what is left */
    uint32_t bytes;    /* useful ones that have not earned a frame yet */
    uint64_t decoded;  /* bytes */
};

void h2_budget_init(struct h2_budget *, uint64_t now_ms);

/* A stream ended early. false: there were too many. */
bool h2_budget_reset(struct h2_budget *, uint64_t now_ms);

/* A frame without use. false: there were too many. */
bool h2_budget_frame(struct h2_budget *, uint64_t now_ms);

/* Bytes of a header block were decoded for nothing. false: there were too many. */
bool h2_budget_decoded(struct h2_budget *, uint64_t now_ms, uint64_t bytes);

/* What earns frames. */
void h2_budget_request(struct h2_budget *);
void h2_budget_bytes(struct h2_budget *, uint64_t bytes);

#endif
