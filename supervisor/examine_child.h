/* Runs examine() in a child, so that no private key is ever in the memory of the supervisor,
 * and so that a directory on a network that does not respond cannot stop it. Supervisor only.
 */
#ifndef SUPERVISOR_EXAMINE_CHILD_H
#define SUPERVISOR_EXAMINE_CHILD_H

#include <stdbool.h>
#include <stdio.h>

#include "supervisor/examine.h"

enum {
    EXAMINE_CHILD_LIMIT_MS = 5000,
    EXAMINE_CHILD_OUTPUT_MAX = 256 * 1024, /* bytes that the child may send; the two lists are
                                              limited to ERRORS_TOLD messages each */
};

/* Adds what examine() adds. Waits at most EXAMINE_CHILD_LIMIT_MS; a check that takes longer or
 * fails adds a warning, and nothing else. */
void examine_child_run(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
                       struct conf_errors *warnings);

/* ---- how the two talk: one record per message, each ending in NUL, which no message contains:
 * its kind (E or W), then its text; a last record "." says that the lists are complete. */

void examine_child_send(FILE *out, const struct conf_errors *errs,
                        const struct conf_errors *warnings);

/* Reads until the other side closes, for at most limit_ms. true: the lists are complete, and
 * their messages were added. false with errno, and nothing was added: ETIMEDOUT, EPROTO (the
 * child ended early or sent too much), or an error of poll(), read() or malloc(). */
bool examine_child_receive(int fd, unsigned limit_ms, struct conf_errors *errs,
                           struct conf_errors *warnings);

#endif
