/* CAA records (RFC 8659): which CAs may sign for a name. Reads what a DNS server answers, which
 * is a stranger's; pure. acmed's network half only. */
#ifndef ACMED_NET_CAA_H
#define ACMED_NET_CAA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CAA_TYPE = 257,
    CAA_TEXT = 128, /* bytes of what is said about a record, with its NUL */
};

enum caa_verdict {
    CAA_NONE,    /* no such record here: look at the parent */
    CAA_ALLOWS,  /* there are some, and none is against it */
    CAA_FORBIDS, /* why tells the record, as a zone file has it */
    CAA_BAD,     /* not an answer that can be read */
};

/* Where the records are looked for next when a name has none (section 3), up to and with the
 * top-level domain; NULL: nowhere, nobody is against it. */
const char *caa_parent(const char *name);

/* Judges the reply to a question for CAA. identities: those of the CA, ", " between them;
 * wildcard: of what is asked for. The text holds printable ASCII. */
enum caa_verdict caa_judge(const uint8_t *reply, size_t n, const char *identities,
                           bool wildcard, char why[CAA_TEXT]);

#endif
