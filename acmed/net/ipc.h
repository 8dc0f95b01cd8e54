/* Messages between acmed and its network helper: one message per packet over a SOCK_SEQPACKET
 * pair. The network helper asks, and acmed replies to each question with one IPC_REPLY; begin,
 * drop, done and failed have no reply.
 *
 * The network helper reads untrusted data, so acmed does not trust it: a table (net/ipc.c)
 * gives each field a kind and a bound, and a packet that does not match it exactly is refused
 * as a whole. Texts are slices of the packet's buffer. Pure, except send and recv. */
#ifndef ACMED_NET_IPC_H
#define ACMED_NET_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

enum {
    IPC_MAX = 128 * 1024, /* bytes of a packet: a chain of 64 KiB, or a CSR for 100 names */
};

enum ipc_type {
    IPC_BEGIN = 1, /* acmed -> net; the first packet, sent once */
    IPC_REPLY,     /* acmed -> net */
    IPC_SIGN,      /* net -> acmed; reply: the JWS */
    IPC_CSR,       /* reply: DER in base64url */
    IPC_PUT,       /* publish a challenge; reply: it is published */
    IPC_DROP,      /* remove it; no reply */
    IPC_PROGRESS,  /* store this; reply: it is on disk */
    IPC_CHAIN,     /* a chain arrived; reply.number: verdict, bytes: why it is bad */
    IPC_DONE,
    IPC_FAILED,
    IPC_TYPES
};

/* What IPC_SIGN asks for. */
enum ipc_how {
    IPC_WITH_JWK = 1,
    IPC_WITH_KID,
    IPC_EAB,              /* the inner JWS of externalAccountBinding; payload unused */
    IPC_ROLLOVER,         /* the inner JWS of keyChange; kid: the account's URL */
    IPC_WITH_CERTIFICATE, /* with the JWK of the certificate's key: revocation */
    IPC_HOWS
};

enum ipc_chain_verdict { IPC_CHAIN_BAD, IPC_CHAIN_GOOD, IPC_CHAIN_PREFERRED };

struct ipc_begin {
    uint64_t kind;       /* enum job_kind */
    uint64_t challenges; /* enum job_challenge, 4 bits each, the first in the lowest bits */
    uint64_t flags;      /* IPC_AGREE_TOS etc. */
    uint64_t reason;
    uint64_t deadline_ms; /* monotonic */
    uint64_t http_port;
    uint64_t dns_wait_ms; /* 0: do not look for TXT records */
    struct str directory, ca_file, contact, account_url, eab_kid;
    struct str names; /* one per line */
    struct str profile, replaces, order_url, renewal_id;
    struct str certificate; /* DER in base64url */
    struct str resolver, marker, marker_text;
};
enum { IPC_AGREE_TOS = 1, IPC_MUST_EXIST = 2, IPC_PROFILE_REQUIRED = 4, IPC_FLAGS = 7 };

struct ipc_sign {
    uint64_t how;
    struct str url, nonce, kid, payload;
};

struct ipc_challenge { /* for put and drop */
    uint64_t kind;     /* enum job_challenge */
    struct str token, name;
    struct str target; /* dns-01: where to publish the record */
};

struct ipc_progress {
    uint64_t state;        /* enum job_state */
    uint64_t clock_off_ms; /* as in ipc_done */
    struct str account_url, order_url;
};

struct ipc_chain {
    struct str pem;
};

struct ipc_reply {
    uint64_t number; /* 0: refused */
    struct str bytes;
};

struct ipc_done {
    uint64_t clock_off_ms; /* signed, as two's complement; see struct job_event */
    uint64_t retry_after_s;
    uint64_t window_start_wall_ms, window_end_wall_ms;
    uint64_t challenge; /* enum job_challenge, or 0 */
    struct str explanation, info;
};

struct ipc_failed {
    uint64_t clock_off_ms, status, retry_after_s, flags;
    uint64_t challenge; /* enum job_challenge, or 0 */
    struct str type, detail, name;
};
enum { IPC_ORDER_GONE = 1, IPC_ACCOUNT_GONE = 2, IPC_ACCOUNT_CLOSED = 4, IPC_FAILED_FLAGS = 7 };

struct ipc_message {
    enum ipc_type type;
    union {
        struct ipc_begin begin;
        struct ipc_reply reply;
        struct ipc_sign sign;
        struct ipc_challenge challenge;
        struct ipc_progress progress;
        struct ipc_chain chain;
        struct ipc_done done;
        struct ipc_failed failed;
    };
};

/* Returns bytes written, or 0: a field exceeds its bounds, or cap is too small. */
size_t ipc_encode(const struct ipc_message *ask, char *out, size_t cap);
/* false: not a valid packet. Slices point into packet. */
bool ipc_decode(struct ipc_message *ask, const char *packet, size_t n);

/* true: sent. false with errno; EINVAL: ipc_encode() refused it. scratch: IPC_MAX bytes. */
bool ipc_send(int fd, const struct ipc_message *ask, char *scratch);
/* 1: received into buffer (IPC_MAX bytes); 0: the other end is closed; -1 with errno: EAGAIN,
 * or EPROTO for an invalid packet. */
int ipc_recv(int fd, struct ipc_message *ask, char *buffer);

/* Which texts may be used as a URL, token etc.; ipc_decode() checks fields with these. */
bool ipc_is_url(struct str text);   /* https, printable ASCII without quotes and backslash */
bool ipc_is_nonce(struct str text); /* [A-Za-z0-9_-]{1,256} (RFC 8555 section 6.5.1) */
bool ipc_is_host(struct str text); /* [A-Za-z0-9_.-]{1,253}; not an option, not a hidden file */
bool ipc_is_token(struct str text); /* [A-Za-z0-9_-]{1,128}: used in a path */

/* Whether two identifiers are equal: case is ignored, and so is the spelling of IPv6
 * addresses. */
bool ipc_same_name(struct str a, struct str b);

#endif
