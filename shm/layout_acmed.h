/* Rows that acmed writes: certificates and challenges. Part of shm/table.h, which tells the
 * rules; include that. */
#ifndef SHM_LAYOUT_ACMED_H
#define SHM_LAYOUT_ACMED_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/layout.h"
#include "shm/seq.h"

/* Result of a worker's self-test of a candidate: a handshake with itself for each name. */
enum cert_proof {
    CERT_PROOF_NONE,
    CERT_PROOF_GOOD,
    CERT_PROOF_LOAD,      /* it could not be loaded */
    CERT_PROOF_HANDSHAKE, /* no handshake succeeded */
    CERT_PROOF_LEAF,      /* another leaf was sent, or one for another key */
    CERT_PROOF_NAMES,     /* not valid for all names */
    CERT_PROOF_DATES,     /* not valid now */
    CERT_PROOF_CHAIN,     /* the chain is inconsistent */
};

/* What note[0] is about. */
enum cert_trouble {
    CERT_HINT,    /* a hint: the certificate is fine */
    CERT_CLOCK,   /* the clock must be set */
    CERT_ACCOUNT, /* the account's key is unusable */
    CERT_STORE,   /* the store is unusable */
};

enum cert_source { CERT_NONE, CERT_SELF_SIGNED, CERT_FILE, CERT_ACME };

enum { CERT_REPLIES = 4 }; /* commands about one certificate at once */

enum cert_reply_state {
    CERT_REPLY_FREE,
    CERT_REPLY_OPERATES, /* the CA, or the test of the older pair, is awaited */
    CERT_REPLY_ORDERS,   /* the new certificate is awaited */
    CERT_REPLY_REFUSED,  /* or it failed: text tells why */
    CERT_REPLY_DONE, /* the certificate that is live is another one, or text tells why not */
};

/* The result of one command about a certificate, for the process that gave it. */
struct cert_reply {
    uint64_t not_after_wall_ms; /* of the generation that was live at its end */
    int32_t pid;                /* who asked */
    uint32_t number;            /* of the request, counted as in cert_row.requests */
    uint32_t request, state;    /* enum cert_request, cert_reply_state */
    uint32_t before;            /* generation that was live when it was accepted */
    uint32_t generation;        /* and at its end */
    char text[TABLE_ERROR];
};

/* The key and chain of a generation are in the store, as
 * certs/<name>/<generation>/{fullchain,key}.pem */
struct cert_row {      /* writer: acmed; index = index in the config */
    uint8_t source;    /* enum cert_source */
    uint8_t busy;      /* 1: an order is in progress */
    uint8_t wanted;    /* enum cert_source: what the configuration asks for */
    uint8_t trouble;   /* enum cert_trouble: what note[0] is about */
    uint8_t key_known; /* 1: not revoked itself: another one with its key was (keyCompromise) */
    uint8_t unused;
    uint16_t prover;     /* row of the worker that is to self-test the candidate */
    uint32_t generation; /* live: what workers load; 0: none yet */
    uint32_t candidate;  /* to be tested before it goes live; 0: none */
    uint32_t requests;   /* requests of the operator, replied to so far */
    uint32_t failures;   /* failed orders in a row */
    uint64_t not_before_wall_ms, not_after_wall_ms;
    uint64_t next_try_wall_ms;
    uint64_t revoked_wall_ms; /* the live one or its key was revoked; 0: no */
    char name[CERT_DIR_SIZE]; /* the first name; the directory in the store */
    char issuer[128];
    char key[CERT_KEY_SIZE]; /* of the live one: "P-256", "RSA 2048"; "" = none */
    char error[TABLE_ERROR]; /* of the last attempt; "" = none */
    char reply[TABLE_ERROR]; /* why the operation just failed that a request has started; "" */
    struct cert_reply replies[CERT_REPLIES];
    char doing[64];                     /* what is in progress, or the next attempt; "" */
    char note[TABLE_NOTES][TABLE_NOTE]; /* findings, the worst first; "" = no more */
};

struct cert {
    struct seq seq;
    struct cert_row row;
};

struct challenge_row { /* writer: acmed */
    uint8_t kind;      /* 0: free, 1: http-01, 2: tls-alpn-01 */
    char token[132];
    char key_authorization[260];
    char name[256];
    uint64_t expires_ms;
};

struct challenge {
    struct seq seq;
    struct challenge_row row;
};

#endif
