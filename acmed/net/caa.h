/* CAA records (RFC 8659): which CAs may sign for a name. Reads the response of a DNS server,
 * which is untrusted. Pure; acmed's network helper only. */
#ifndef ACMED_NET_CAA_H
#define ACMED_NET_CAA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CAA_TYPE = 257,
    CAA_TEXT = 128, /* bytes of the description of a record, with its NUL */
};

enum caa_verdict {
    CAA_NONE,    /* no records here: look at the parent */
    CAA_ALLOWS,  /* there are records, and none forbids it */
    CAA_FORBIDS, /* why holds the record, in zone file format */
    CAA_BAD,     /* the response cannot be parsed */
};

/* The name to look at next when a name has no records (section 3), up to and including the
 * top-level domain; NULL: none is left, and any CA may sign. */
const char *caa_parent(const char *name);

/* Judges the response to a CAA query. identities: those of the CA, separated by ", "; wildcard:
 * the certificate is for a wildcard. why holds printable ASCII. */
enum caa_verdict caa_judge(const uint8_t *reply, size_t n, const char *identities,
                           bool wildcard, char why[CAA_TEXT]);

#endif
