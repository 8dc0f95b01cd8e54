/* What a configuration names on this host, looked at before it is used: certificates and keys
 * that fit together, the user, programs, folders of logs; and what is likely not meant.
 *
 * Reads private keys: `pasgate check` does it itself and ends; the supervisor has a child do
 * it, so that no key ever is in its own memory. */
#ifndef SUPERVISOR_EXAMINE_H
#define SUPERVISOR_EXAMINE_H

#include "base/conf/conf.h"

enum examine_for {
    EXAMINE_CHECK,  /* as whoever asks: what only root may read is a warning to others */
    EXAMINE_START,  /* a bad pair is no error where the store has the one before */
    EXAMINE_RELOAD, /* the old generation goes on: whatever is wrong is an error */
};

/* Adds what is wrong to errs, as "file:line: what" or "file: what", and what is likely wrong,
 * that of the configuration's own warnings too, to warnings. Once in a process. */
void examine(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
             struct conf_errors *warnings);

/* The same in a child, of which at most EXAMINE_LIMIT_MS are waited for: a folder on a network
 * that does not answer must not stop the supervisor. What took longer is a warning. */
enum { EXAMINE_LIMIT_MS = 5000 };
void examine_in_child(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
                      struct conf_errors *warnings);

#endif
