/* Which slot of the table a backend has. A name keeps its slot across reloads, even when it was
 * gone for a while, so that counters, health and an admin override stay with it. A slot that a
 * running generation refers to is never given to another name. Pure; supervisor only, embedded
 * in struct supervisor. */
#ifndef SUPERVISOR_SLOTS_H
#define SUPERVISOR_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct slots {
    uint32_t n; /* slots below this number were ever used */
    struct {
        char name[TABLE_NAME]; /* "": never used */
        uint32_t refs;         /* generations that refer to it */
    } slot[TABLE_BACKENDS];
};

/* Finds or assigns a slot for each of n names (unique, shorter than TABLE_NAME), writes it to
 * out[i] and takes a reference on it. false: there are not enough free slots, and nothing was
 * taken. */
bool slots_acquire(struct slots *slots, const char *const names[], uint32_t n, uint16_t out[]);

/* Releases the references of slots_acquire(). */
void slots_release(struct slots *slots, const uint16_t map[], uint32_t n);

/* The slot of a name that some generation refers to, or -1. */
int slots_find(const struct slots *slots, const char *name);

#endif
