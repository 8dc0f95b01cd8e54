/* Examines PEM texts: are this chain and this key a pair that a TLS server can use? OpenSSL
 * stays behind this header. For acmed, and for processes that examine a configuration
 * (supervisor/examine.h). */
#ifndef ACMED_CERT_PEM_H
#define ACMED_CERT_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/cert/store.h"
#include "shm/table.h"

struct conf_cert;

enum { PEM_DIGEST = 32 };

struct pem_info {
    uint64_t not_before_wall_ms, not_after_wall_ms;
    char issuer[128];
    char key[CERT_KEY_SIZE];       /* "P-256", "RSA 2048" */
    uint32_t n_names;              /* in the leaf's subjectAltName */
    bool covers;                   /* all names of the configuration */
    bool self_signed;              /* by its own key, not by a CA */
    char warning[TABLE_REASON];    /* usable, but: the first odd thing, or "" */
    char incomplete[TABLE_REASON]; /* the chain lacks an intermediate, as far as the CAs known
                                      on this host show: some clients refuse it; "": not so */
};

/* 0: the chain parses, the key matches its first certificate, and OpenSSL accepts both for a
 * server. -1: not so; error says why in plain words. Expiry and missing names are warnings,
 * judged at now_wall_ms. */
int pem_check(const struct pem_pair *pair, const char *const *names, size_t n_names,
              uint64_t now_wall_ms, struct pem_info *info, char error[TABLE_REASON]);

/* The source of a pair in the store, by its content and by what was noted beside it: the note
 * may be lost, or belong to another pair. */
enum cert_source pem_source(enum cert_source noted, const struct pem_info *info);

/* Reports likely problems of a pair that pem_check() accepts: it expires soon, an intermediate
 * has expired, or one is missing as far as the CAs known on this host show. Calls tell() any
 * number of times. */
void pem_advise(const struct pem_pair *pair, uint64_t now_wall_ms,
                void (*tell)(void *to, const char *text), void *to);

/* Does its key have the type that this certificate should have? Any type will do if the
 * certificate is not ordered, or has no dual one. */
bool pem_suits(const struct pem_info *info, const struct conf_cert *cert);

/* Two pairs for the same names: can a client's offer decide between them? */
bool pem_kinds_differ(const struct pem_pair *a, const struct pem_pair *b);

/* Identifies a certificate by content: SHA-256 over its DER, and over that of its public key.
 * false: the chain does not parse. */
struct pem_id {
    uint8_t leaf[PEM_DIGEST], key[PEM_DIGEST];
    uint64_t not_after_wall_ms;
};
bool pem_id(const struct pem_pair *pair, struct pem_id *id);

/* What OpenSSL calls this cause of a failed handshake (cert_finding.error); NULL: it does not
 * know it, or 0. */
const char *pem_tls_reason(unsigned number);

/* SHA-256 over both texts; tells whether two pairs are the same. */
void pem_digest(const struct pem_pair *pair, uint8_t out[PEM_DIGEST]);

#endif
