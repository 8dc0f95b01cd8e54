/* Masks what may be secret in a line that another program wrote: an error of the Docker Engine
 * or the output of a HEALTHCHECK. Both can quote command lines and URLs with passwords. What
 * names the fault stays: words, numbers, paths, hosts. Pure.
 *
 *   masked                                              shown as
 *   text in double quotes                               "..."
 *   a URL: user, password, path, query                  http://host:8810/...
 *   NAME=VALUE, NAME='two words'                        NAME=...
 *   an option, and the word after it                    -... ...
 *   a word after "password", "token", "Authorization:"  ...
 *
 * It is a precaution, not a proof: a secret that stands alone in a sentence looks like any
 * other word. */
#ifndef HEALTHD_RESTARTER_MASK_H
#define HEALTHD_RESTARTER_MASK_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the masked line to out, cut to fit, printable (tail_plain()). Reads at most n bytes.
 * Returns out. */
char *mask_line(char *out, size_t cap, const char *text, size_t n);

/* Does this name of a variable, option or JSON member stand for a secret? */
bool mask_is_secret(const char *name, size_t n);

#endif
