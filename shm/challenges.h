/* ACME challenges in the table: the responses that workers send to a CA while a
 * certificate is ordered.
 *
 * A row is found by one number, the hash of what the CA asks for: the token of http-01, the
 * server name of tls-alpn-01. So a request for an unknown challenge, which anybody may send,
 * costs a scan of some KiB and not of every row. acmed writes; any process reads. */
#ifndef SHM_CHALLENGES_H
#define SHM_CHALLENGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "shm/table.h"

enum challenge_kind { CHALLENGE_FREE, CHALLENGE_HTTP_01, CHALLENGE_TLS_ALPN_01 };

/* The server name with which a CA asks for a challenge of this name: the name itself, or the
 * reverse-mapping name of an address (RFC 8738 section 6). */
enum { CHALLENGE_SNI = 256 };
void challenge_sni(const char *name, char out[CHALLENGE_SNI]);

/* Copies the row for this token or server name (case-insensitive). false: there is
 * none that is still valid. */
bool challenge_find(const struct table *table, enum challenge_kind kind, struct str asked,
                    uint64_t now_ms, struct challenge_row *row);

/* acmed: fills row i, or frees it. */
void challenge_put(struct table *table, uint32_t i, const struct challenge_row *row);
void challenge_clear(struct table *table, uint32_t i);

/* acmed, at its start: frees what has expired or is half-written. Challenges of an acmed
 * that was killed are still served: the CA may be validating right now, and the
 * successor continues that order. */
void challenges_take_over(struct table *table, uint64_t now_ms);
/* acmed, from time to time: frees what has expired, and rewrites wrong lookup hashes. */
void challenges_look(struct table *table, uint64_t now_ms);

/* How many rows are useful for this many names that may be ordered. */
uint32_t challenges_needed(uint64_t names);

#endif
