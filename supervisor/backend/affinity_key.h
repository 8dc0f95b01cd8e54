/* The key of the tags that bind sessions to backends (worker/http/affinity.h): created once,
 * given to every worker before its fork, kept over reloads, and over restarts in a file of the
 * state directory, so that no restart makes a session lose its backend. Supervisor only; wiped
 * from what children inherit by fork. */
#ifndef SUPERVISOR_BACKEND_AFFINITY_KEY_H
#define SUPERVISOR_BACKEND_AFFINITY_KEY_H

#include <stdbool.h>
#include <stdint.h>

struct identity;

/* Maps a fresh random key. 0 or -1 with errno. */
int affinity_key_init(uint8_t **key);

/* load, at start: replaces the key by the one in the state directory of that store; true if
 * there was one. save, at start and after each reload, which may change the store: writes the
 * key in memory there, unless it is there already. A failure is logged; its only effect is that
 * sessions may move to another backend after the next restart. */
bool affinity_key_load(uint8_t *key, const char *store, const struct identity *identity);
void affinity_key_save(const uint8_t *key, const char *store, const struct identity *identity);

void affinity_key_release(uint8_t *key); /* takes NULL */

#endif
