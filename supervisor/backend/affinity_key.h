/* The key of the tags that bind sessions to instances (worker/http/affinity.h): made once,
 * given to every worker before it is forked off, kept over reloads, and in a file of
 * the state folder over restarts, so that no session loses its instance by one.
 * Supervisor only; wiped from what children get by fork. */
#ifndef SUPERVISOR_BACKEND_AFFINITY_KEY_H
#define SUPERVISOR_BACKEND_AFFINITY_KEY_H

#include <stdbool.h>
#include <stdint.h>

struct identity;

/* Maps a fresh one. 0 or -1 with errno. */
int affinity_key_init(uint8_t **key);

/* Takes the one in the state folder of that store instead, if there is one, else writes
 * it there. At start and after each reload, where the store may be another: from then
 * on the key in memory counts. A failure is logged and costs no more than that sessions
 * do not find their instances after the next restart. load: whether it was there. */
bool affinity_key_load(uint8_t *key, const char *store, const struct identity *identity);
void affinity_key_save(const uint8_t *key, const char *store, const struct identity *identity);

void affinity_key_release(uint8_t *key); /* takes NULL */

#endif
