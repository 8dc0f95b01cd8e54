/* The TXT records of dns-01 that the operator's hook was asked to publish for one certificate,
 * until it has taken them away again: STORE/orders/NAME/records. A record is on disk before the
 * hook hears of it, so that a successor of acmed neither leaves one behind nor publishes one
 * twice. acmed only. */
#ifndef ACMED_ORDER_DNS_RECORDS_H
#define ACMED_ORDER_DNS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/key/signer.h"

enum {
    DNS_RECORD_NAME = 256, /* bytes of a name with its NUL */
    DNS_RECORDS_MAX = 256, /* of an order, and of one before it that wait to be taken away */
    DNS_RECORD_TRIES = 3,  /* to take one away */
    DNS_RECORD_MS = 60000, /* between two of these */
};

enum dns_record_state {
    DNS_RECORD_HALF = 1, /* the hook was asked, and has not said yes */
    DNS_RECORD_THERE,    /* published */
    DNS_RECORD_GOES,     /* of no use any more: to be taken away */
};

struct dns_record {
    enum dns_record_state state;
    char name[DNS_RECORD_NAME];   /* whose _acme-challenge it is */
    char target[DNS_RECORD_NAME]; /* where it stands */
    char value[SIGNER_DNS_VALUE_SIZE];
    unsigned tries;  /* to take it away, that failed */
    uint64_t due_ms; /* monotonic, of the next one; 0: now */
};

struct dns_records {
    struct dns_record *list; /* on the heap; NULL: none */
    size_t n;
};

/* Reads what a predecessor left; a file that is damaged holds none. */
void dns_records_load(int dir, struct dns_records *records);
void dns_records_release(struct dns_records *records);
/* 0, or -1 with errno. */
int dns_records_save(int dir, const struct dns_records *records);

/* The one for this name and value; with `make`, it is added as HALF when it is not there. NULL:
 * none, or no room. */
struct dns_record *dns_records_find(struct dns_records *records, const char *name,
                                    const char *target, const char *value, bool make);
void dns_records_remove(struct dns_records *records, struct dns_record *record);

/* All that the hook was asked to publish is to be taken away. false: it was so already. */
bool dns_records_all_go(struct dns_records *records);

/* The next one to take away, that is due. NULL: none. */
struct dns_record *dns_records_next(struct dns_records *records, uint64_t now_ms);

#endif
