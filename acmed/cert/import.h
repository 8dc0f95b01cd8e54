/* Import: watches the two PEM files of one configured certificate.
 *
 * Only root may be able to read them, so the supervisor opens them for us: acmed asks for the
 * chain, then for the key, and gets a descriptor for each. A round ends with both replies.
 * Inode, size and times tell whether a file has changed, so that nothing is read while nothing
 * changed. Polling works on every file system and notices a replaced file. acmed only. */
#ifndef ACMED_CERT_IMPORT_H
#define ACMED_CERT_IMPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "acmed/cert/store.h"
#include "shm/message.h"

struct conf_cert;

enum {
    IMPORT_FILES = 2,   /* indexed by enum pem_file */
    IMPORT_ROUNDS = 32, /* at a time, over all certificates: few enough that all replies are
                           read, and their pairs stored, before the last one times out */
};

struct import_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct import {
    const struct conf_cert *conf;
    int waiting_for; /* enum pem_file; -1: no round is running */
    bool known;      /* stamps are those of the pair that was read last */
    struct import_stamp stamp[IMPORT_FILES];
    int fd[IMPORT_FILES];    /* of this round; -1: not received */
    int error[IMPORT_FILES]; /* errno of the supervisor's open(); 0: none */
};

enum import_result {
    IMPORT_SAME,  /* unchanged since the last IMPORT_PAIR */
    IMPORT_PAIR,  /* *pair holds the current content of the files */
    IMPORT_ERROR, /* error says what is wrong */
};

/* conf->index is the number of the certificate in every message. */
void import_init(struct import *import, const struct conf_cert *conf);
void import_release(struct import *import);

/* Starts a round. 0, or -1: the supervisor does not read just now, or too many rounds are
 * running. */
int import_ask(struct import *import, int control_fd);

/* Takes a reply (*fd moves to the import and becomes -1). true: the round is complete; call
 * import_finish(). */
bool import_reply(struct import *import, int control_fd, const struct message *reply, int *fd);

/* Ends a round. The caller releases *pair. */
enum import_result import_finish(struct import *import, struct pem_pair *pair,
                                 char error[TABLE_REASON]);

/* Makes the next round read the files even if they look unchanged. Aborts a running round. */
void import_forget(struct import *import);

#endif
