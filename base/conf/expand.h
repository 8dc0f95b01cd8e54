/*
 * conf/expand.h - ${NAME} in the strings of the configuration. Pure except for getenv().
 *
 * ${NAME} is the value of that environment variable, which must be set; ${NAME:-text} is text
 * if it is not set or empty; $${ stands for ${ itself. The result is not expanded again.
 */
#ifndef BASE_CONF_EXPAND_H
#define BASE_CONF_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

/* On error, returns false and writes to `why` what is wrong and what would be right. */
bool conf_expand(const char *in, char *out, size_t cap, char *why, size_t why_cap);

#endif
