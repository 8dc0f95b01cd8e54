/* From a member to the struct that contains it: for callbacks that are given the address of a
 * timer, a source or a link that is embedded in a struct. */
#ifndef BASE_CONTAINER_H
#define BASE_CONTAINER_H

#include <stddef.h>

/* p: not NULL, the address of `member` in a `type`. */
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#endif
