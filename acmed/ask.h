/* What acmed and its network half say to each other: one message per packet over a
 * SOCK_SEQPACKET pair. The network half asks, acmed answers each question with one ASK_ANSWER;
 * begin, done and failed have none.
 *
 * The network half reads what strangers send, so acmed trusts none of it: each field has a
 * kind and a bound in one table (ask.c), and a packet that does not fit it to the byte is
 * refused as a whole. Texts are slices of the packet's buffer. Pure, but for send and recv. */
#ifndef ACMED_ASK_H
#define ACMED_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

enum {
    ASK_MAX = 128 * 1024, /* bytes of a packet: a chain of 64 KiB, or a CSR for 100 names */
};

enum ask_type {
    ASK_BEGIN = 1, /* acmed -> net, the first packet and only once */
    ASK_ANSWER,    /* acmed -> net */
    ASK_SIGN,      /* net -> acmed; answer: the JWS */
    ASK_CSR,       /* answer: DER in base64url */
    ASK_PUT,       /* a challenge is to be met; answer: it is */
    ASK_DROP,      /* and no longer; no answer */
    ASK_PROGRESS,  /* keep this; answer: it is on disk */
    ASK_CHAIN,     /* a chain came; answer.number: a verdict, bytes: why it is bad */
    ASK_DONE,
    ASK_FAILED,
    ASK_TYPES
};

/* What ASK_SIGN wants. */
enum ask_how {
    ASK_WITH_JWK = 1,
    ASK_WITH_KID,
    ASK_EAB,              /* the inner JWS of externalAccountBinding; payload unused */
    ASK_ROLLOVER,         /* the inner JWS of keyChange; kid: the account */
    ASK_WITH_CERTIFICATE, /* jwk of the certificate's key: revocation */
    ASK_HOWS
};

enum ask_chain_verdict { ASK_CHAIN_BAD, ASK_CHAIN_GOOD, ASK_CHAIN_PREFERRED };

struct ask_begin {
    uint64_t kind;       /* enum job_kind */
    uint64_t challenges; /* enum job_challenge, 4 bits each, the first one lowest */
    uint64_t flags;      /* ASK_AGREE_TOS ... */
    uint64_t reason;
    uint64_t deadline_ms; /* monotonic */
    uint64_t http_port;
    struct str directory, ca_file, contact, account_url, eab_kid;
    struct str names; /* one per line */
    struct str profile, replaces, order_url, renewal_id;
    struct str certificate; /* DER in base64url */
    struct str resolver, marker, marker_text;
};
enum { ASK_AGREE_TOS = 1, ASK_MUST_EXIST = 2, ASK_FLAGS = 3 };

struct ask_sign {
    uint64_t how;
    struct str url, nonce, kid, payload;
};

struct ask_challenge { /* put, drop */
    uint64_t kind;     /* enum job_challenge */
    struct str token, name;
};

struct ask_progress {
    uint64_t state; /* enum job_state */
    struct str account_url, order_url;
};

struct ask_chain {
    struct str pem;
};

struct ask_answer {
    uint64_t number; /* 0: no */
    struct str bytes;
};

struct ask_done {
    uint64_t clock_off_ms; /* as two's complement; of struct job_event */
    uint64_t retry_after_s;
    uint64_t window_start_wall_ms, window_end_wall_ms;
    uint64_t challenge; /* enum job_challenge, or 0 */
    struct str explanation, info;
};

struct ask_failed {
    uint64_t clock_off_ms, status, retry_after_s, flags;
    uint64_t challenge; /* enum job_challenge, or 0 */
    struct str type, detail, name;
};
enum { ASK_ORDER_GONE = 1, ASK_ACCOUNT_GONE = 2, ASK_FAILED_FLAGS = 3 };

struct ask {
    enum ask_type type;
    union {
        struct ask_begin begin;
        struct ask_answer answer;
        struct ask_sign sign;
        struct ask_challenge challenge;
        struct ask_progress progress;
        struct ask_chain chain;
        struct ask_done done;
        struct ask_failed failed;
    };
};

/* Bytes written, or 0: a field is out of its bounds, or cap too small. */
size_t ask_encode(const struct ask *ask, char *out, size_t cap);
/* false: not a packet of ours. Slices point into packet. */
bool ask_decode(struct ask *ask, const char *packet, size_t n);

/* true: sent. false with errno; EINVAL: ask_encode refuses. scratch: ASK_MAX bytes. */
bool ask_send(int fd, const struct ask *ask, char *scratch);
/* 1: one came, in buffer (ASK_MAX bytes); 0: the other end has gone; -1 with errno: EAGAIN,
 * or EPROTO, what came is none. */
int ask_recv(int fd, struct ask *ask, char *buffer);

/* Texts that may stand in a URL, token or line; what ask_decode() holds fields to. */
bool ask_is_url(struct str text);   /* https, printable ASCII without quotes and backslash */
bool ask_is_nonce(struct str text); /* [A-Za-z0-9_-]{1,256} (RFC 8555 section 6.5.1) */
bool ask_is_token(struct str text); /* [A-Za-z0-9_-]{1,128} (ACME.md 1.9) */

/* Whether two identifiers are one: letters of any case, any spelling of an IPv6 address. */
bool ask_same_name(struct str a, struct str b);

#endif
