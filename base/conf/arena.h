/*
 * conf/arena.h - the memory of one configuration.
 *
 * One reservation of address space, filled from the front, that becomes read-only when the
 * configuration is complete: a stray write then ends the process instead of changing settings
 * that all later children inherit. Used in base/conf only, in the process that loads.
 */
#ifndef BASE_CONF_ARENA_H
#define BASE_CONF_ARENA_H

#include <stddef.h>

struct conf_arena;

/* Address space, of which only touched pages use memory. The largest part that the limits of
 * conf/conf.h allow are the names of certificates: 1024 * 100 of 256 bytes, 25 MiB. Of keys for
 * backends there are at most 16 MiB (conf/check_tls.c). */
enum { CONF_ARENA_BYTES = 64 << 20, CONF_ARENA_KEY_BYTES = 24 << 20 };

/* NULL when the host has no memory. */
struct conf_arena *conf_arena_new(size_t bytes);
void conf_arena_free(struct conf_arena *arena);

/* Zeroed memory, aligned for anything. Never NULL: the reservation exceeds what the limits of
 * conf/conf.h allow to be stored. */
void *conf_arena_alloc(struct conf_arena *arena, size_t n);
const char *conf_arena_strdup(struct conf_arena *arena, const char *s);

/* Makes the arena read-only and returns the unused part of the reservation to the system. */
void conf_arena_seal(struct conf_arena *arena);

/* From now on this process reads only zeroes there. */
void conf_arena_blank(struct conf_arena *arena);

/* Processes forked from now on do not have this memory. */
void conf_arena_keep_from_children(struct conf_arena *arena);

#endif
