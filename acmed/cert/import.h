/* Importing: the two PEM files of one configured certificate, watched.
 *
 * Only root may be able to read them, so the supervisor opens them for us: we
 * ask for the chain, then for the key, and get a descriptor each. A round ends
 * with both answers. Files are told apart by inode, size and times, so that
 * nothing is read while nothing changed; polling works on every file system,
 * and finds a file that was replaced. acmed only. */
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
    IMPORT_ROUNDS = 32, /* at a time, of all certificates: so many answers are read, and what
                           they bring is stored, before the last of them seems not to come */
};

struct import_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime, ctime;
};

struct import {
    const struct conf_cert *conf;
    int waiting_for; /* enum pem_file; -1: no round under way */
    bool known;      /* stamps are those of the pair that was read last */
    struct import_stamp stamp[IMPORT_FILES];
    int fd[IMPORT_FILES];    /* of this round; -1: not come */
    int error[IMPORT_FILES]; /* errno of the supervisor's open(); 0: none */
};

enum import_result {
    IMPORT_SAME,  /* as it was at the last IMPORT_PAIR */
    IMPORT_PAIR,  /* *pair holds what the files say now */
    IMPORT_ERROR, /* error says what is wrong */
};

/* number of the certificate = conf->index in every message. */
void import_init(struct import *import, const struct conf_cert *conf);
void import_release(struct import *import);

/* Starts a round. 0, or -1: the supervisor does not read just now, or enough is asked already.
 */
int import_ask(struct import *import, int control_fd);

/* Takes an answer (*fd becomes the import's, -1). true: the round has ended,
 * call import_finish(). */
bool import_reply(struct import *import, int control_fd, const struct message *reply, int *fd);

/* Ends a round. *pair is for the caller to release. */
enum import_result import_finish(struct import *import, struct pem_pair *pair,
                                 char error[TABLE_REASON]);

/* Makes the next round read the files even when they look the same; also gives
 * up a round that is under way. */
void import_forget(struct import *import);

#endif
