/* What the supervisor and a child tell each other: fixed-size messages over one SOCK_SEQPACKET
 * pair per child, with at most one descriptor each. State goes through the table instead;
 * end-of-file means that the other side died. */
#ifndef SHM_MESSAGE_H
#define SHM_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

enum message_type {
    /* child -> supervisor */
    MESSAGE_READY = 1, /* it serves now */
    MESSAGE_OPEN_PEM,  /* acmed: open file `which` of configured certificate `number` */
    MESSAGE_RECOVER,   /* healthd: restart backend slot `number`, because of body.text */
    MESSAGE_TOLD,      /* restarter: result, in body.text */
    /* supervisor -> child */
    MESSAGE_DRAIN, /* take no new work, finish, exit 0; value: at most so many ms; number: a bit
                      for each listener of the configuration that no other process serves from
                      now on: connections that wait in its sockets must still be accepted */
    MESSAGE_TICKETS,  /* workers: the ring of ticket keys */
    MESSAGE_AFFINITY, /* workers: the key of sessions' tags; sent before the fork */
    MESSAGE_LOG,      /* workers: carries a fresh access-log descriptor */
    MESSAGE_PEM,      /* acmed: the reply to OPEN_PEM; without a descriptor value = errno */
    MESSAGE_CERT,  /* acmed: operator's request `which` for configured certificate `number` */
    MESSAGE_SERVE, /* workers: also serve a socket of slot `which`, which is attached; number =
                      index in conf->listen; value 1: only connections that wait in it now */
    MESSAGE_UNSERVE, /* workers: slot `which` serves its sockets itself again */
};

/* The last two concern the account with which the certificate is ordered. */
enum cert_request {
    CERT_RENEW = 1,
    CERT_RENEW_FORCE,
    CERT_ROLLBACK,
    CERT_REVOKE, /* value: the reason code of RFC 5280 */
    CERT_ROLLOVER,
    CERT_DEACTIVATE,
};

enum pem_file { PEM_CHAIN, PEM_KEY };

enum {
    TICKET_KEYS = 3,    /* current, previous, next */
    TICKET_NAME = 16,   /* bytes: identifies the key in a ticket */
    TICKET_SECRET = 32, /* bytes each of AES-256 and HMAC-SHA256 keys */
    TICKET_ROTATE_MS = 12 * 3600 * 1000,
};

struct ticket_key {
    uint8_t name[TICKET_NAME];
    uint8_t aes[TICKET_SECRET];
    uint8_t hmac[TICKET_SECRET];
};

/* [0] current: encrypts; [1] previous: still opens, and the client gets a new ticket; [2] next:
 * becomes current, known early so that this worker can open a ticket of a worker that rotated
 * first. Never in the table, never on disk. */
struct ticket_ring {
    struct ticket_key key[TICKET_KEYS];
};

#define MESSAGE_ALL_LISTENERS UINT64_MAX /* DRAIN: number */

enum { MESSAGE_AFFINITY_KEY = 32 }; /* bytes */

struct message {
    uint32_t type;
    uint32_t which;
    uint64_t number;
    uint64_t value;
    union {
        struct ticket_ring tickets;
        uint8_t affinity[MESSAGE_AFFINITY_KEY]; /* never in the table, as the ticket keys */
        char text[240];
        int32_t pid; /* MESSAGE_CERT: the process that asks */
    } body;
};

/* 0, or -1 with errno (EAGAIN: the other side does not read). fd < 0: none. */
int message_send(int sock, const struct message *message, int fd);

/* 1: got one; 0: the other side has gone; -1: none now (errno EAGAIN) or a malformed one
 * (EPROTO). *fd is -1, or the caller must close it. */
int message_recv(int sock, struct message *message, int *fd);

#endif
