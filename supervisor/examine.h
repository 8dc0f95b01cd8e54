/* Checks what a configuration names on this host before it is used: certificates and keys that
 * fit together, the user, programs, directories of logs. Also finds what is allowed but
 * probably a mistake.
 *
 * It reads private keys: `pasgate check` does that itself and exits; the supervisor has a child
 * do it (examine_child.h). */
#ifndef SUPERVISOR_EXAMINE_H
#define SUPERVISOR_EXAMINE_H

#include "base/conf/conf.h"

enum examine_for {
    EXAMINE_CHECK,  /* as the caller: what only root may read is a warning for others */
    EXAMINE_START,  /* a bad pair is no error where the store still has the previous one */
    EXAMINE_RELOAD, /* the old generation stays: everything wrong is an error */
};

/* Adds errors to errs, as "file:line: what" or "file: what", and probable mistakes to warnings,
 * including the configuration's own warnings. Once per process. */
void examine(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
             struct conf_errors *warnings);

#endif
