#include "acmed/cert/import.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "acmed/key/secret.h"
#include "base/conf/conf.h"
#include "base/fd.h"

/* Running rounds of all certificates. */
static unsigned rounds;

static void import_wait_for(struct import *import, int which)
{
    rounds += (which >= 0) - (import->waiting_for >= 0);
    import->waiting_for = which;
}

void import_init(struct import *import, const struct conf_cert *conf)
{
    *import = (struct import){.conf = conf, .waiting_for = -1, .fd = {-1, -1}};
}

void import_release(struct import *import)
{
    for (int which = 0; which < IMPORT_FILES; which++)
        fd_close(&import->fd[which]);
    import_wait_for(import, -1);
}

void import_forget(struct import *import)
{
    import_release(import);
    import->known = false;
}

static int ask_for(struct import *import, int control_fd, enum pem_file which)
{
    const struct message question = {
        .type = MESSAGE_OPEN_PEM, .which = which, .number = import->conf->index};

    import_wait_for(import, message_send(control_fd, &question, -1) == 0 ? (int)which : -1);
    return import->waiting_for < 0 ? -1 : 0;
}

int import_ask(struct import *import, int control_fd)
{
    import_release(import);
    return rounds < IMPORT_ROUNDS ? ask_for(import, control_fd, PEM_CHAIN) : -1;
}

bool import_reply(struct import *import, int control_fd, const struct message *reply, int *fd)
{
    int which = import->waiting_for;

    if (which < 0 || reply->which != (uint32_t)which)
        return false; /* from a round that was given up */
    import->fd[which] = *fd;
    import->error[which] = *fd >= 0 ? 0 : reply->value ? (int)reply->value : EIO;
    *fd = -1;
    if (which == PEM_CHAIN) {
        ask_for(import, control_fd, PEM_KEY);
        return false;
    }
    import_wait_for(import, -1);
    return true;
}

static bool take_stamp(int fd, struct import_stamp *stamp)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return false;
    memset(stamp, 0, sizeof *stamp); /* padding too: stamps are compared as bytes */
    stamp->dev = st.st_dev;
    stamp->ino = st.st_ino;
    stamp->size = st.st_size;
    stamp->mtime = st.st_mtim;
    stamp->ctime = st.st_ctim;
    return true;
}

static bool read_both(struct import *import, struct pem_pair *pair, char error[TABLE_REASON])
{
    const char *path = import->conf->chain;

    pair->chain = secret_read(import->fd[PEM_CHAIN], STORE_PEM_MAX, &pair->n_chain);
    if (pair->chain) {
        path = import->conf->key;
        pair->key = secret_read(import->fd[PEM_KEY], STORE_PEM_MAX, &pair->n_key);
    }
    if (pair->key)
        return true;
    snprintf(error, TABLE_REASON, "cannot read %.100s: %s", path,
             errno == EFBIG ? "longer than 256 KiB" : strerror(errno));
    pem_pair_release(pair);
    return false;
}

enum import_result import_finish(struct import *import, struct pem_pair *pair,
                                 char error[TABLE_REASON])
{
    const char *const path[IMPORT_FILES] = {import->conf->chain, import->conf->key};
    struct import_stamp stamp[IMPORT_FILES];
    enum import_result result = IMPORT_ERROR;
    bool known = false;

    *pair = (struct pem_pair){0};
    for (int which = 0; which < IMPORT_FILES; which++) {
        int cause = import->error[which];

        if (cause == 0 && !take_stamp(import->fd[which], &stamp[which]))
            cause = errno;
        if (cause != 0) {
            snprintf(error, TABLE_REASON, "cannot open %.100s: %s", path[which],
                     strerror(cause));
            goto out;
        }
    }
    /* The stamps were taken before reading, so a change in between is noticed in the next
     * round. */
    known = true;
    if (import->known && memcmp(stamp, import->stamp, sizeof stamp) == 0)
        result = IMPORT_SAME;
    else if (read_both(import, pair, error))
        result = IMPORT_PAIR;
    else
        known = false;
    memcpy(import->stamp, stamp, sizeof stamp);
out:
    import->known = known;
    import_release(import);
    return result;
}
