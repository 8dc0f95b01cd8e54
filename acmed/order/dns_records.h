/* The dns-01 TXT records that the operator's hook was asked to publish for one certificate,
 * until it has removed them: STORE/orders/NAME/records. A record is on disk before the hook is
 * called, so that a successor of acmed neither leaves one behind nor publishes one twice. acmed
 * only. */
#ifndef ACMED_ORDER_DNS_RECORDS_H
#define ACMED_ORDER_DNS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/key/signer.h"

enum {
    DNS_RECORD_NAME = 256, /* bytes of a name with its NUL */
    DNS_RECORDS_MAX = 256, /* of an order, plus those still to be removed */
    DNS_RECORD_TRIES = 3,  /* to remove a record, or to publish it if acmed ends each time */
    DNS_RECORD_CUTS = 10,  /* calls for one that a reload or stop cut */
    DNS_RECORD_MS = 60000, /* between two of these tries */
};

enum dns_record_state {
    DNS_RECORD_HALF = 1, /* the hook was called and has not reported success */
    DNS_RECORD_THERE,    /* published */
    DNS_RECORD_GOES,     /* no longer needed; to be removed */
};

struct dns_record {
    enum dns_record_state state;
    char name[DNS_RECORD_NAME];   /* _acme-challenge.NAME is looked up by the CA */
    char target[DNS_RECORD_NAME]; /* where the record is published */
    char value[SIGNER_DNS_VALUE_SIZE];
    unsigned tries;  /* calls that have begun: to publish it and not ended, or to remove it */
    unsigned cut;    /* further calls, during which acmed ended in good order */
    uint64_t due_ms; /* monotonic; of the next attempt; 0: now */
};

struct dns_records {
    struct dns_record *list; /* heap; NULL: none */
    size_t n;
};

/* Reads what a predecessor left. 0; -1: damaged, which counts as empty. */
int dns_records_load(int dir, struct dns_records *records);
void dns_records_release(struct dns_records *records);
/* 0, or -1 with errno. */
int dns_records_save(int dir, const struct dns_records *records);

/* The record for this name, target and value. With `make`, a missing one is added as HALF.
 * NULL: none, or no space. */
struct dns_record *dns_records_find(struct dns_records *records, const char *name,
                                    const char *target, const char *value, bool make);
void dns_records_remove(struct dns_records *records, struct dns_record *record);

/* Marks all records for removal. false: all were marked already. */
bool dns_records_all_go(struct dns_records *records);

/* The next record whose removal is due. NULL: none. */
struct dns_record *dns_records_next(struct dns_records *records, uint64_t now_ms);

#endif
