/*
 * conf/expand.h - ${NAME} in the strings of the config. Pure but for getenv().
 *
 * ${NAME} is the value of that environment variable, which must be set; ${NAME:-text} is text
 * when it is not set or empty; $${ stands for ${ itself. What comes out is not expanded again.
 */
#ifndef BASE_CONF_EXPAND_H
#define BASE_CONF_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

/* False with `why` filled: what is wrong, and what would be right. */
bool conf_expand(const char *in, char *out, size_t cap, char *why, size_t why_cap);

#endif
