/* Whose fault is an error answer that `retry_on` names? The same request, asked again, tells:
 * when another instance answers it well, the first one's; when that one errs as well, the
 * application's or the request's. So error answers alone say nothing against an instance, as
 * they are often its business (a record lock, an ABL error), but these do. What follows of it:
 *
 * - An instance that errs where others do not gets few new requests, be they safe or not. It is
 *   not ejected: it keeps its sessions, and a few good answers of its own clear it.
 * - A request that was let down waits for its turn in the budget of retries while that helps.
 *   Where all err, it gets the answer at once, or all would wait for nothing.
 *
 * Each worker goes by its own answers; the table has what it found for the status only. Worker
 * only; the state is in struct backend_view and struct pool_view, all 0 at start. */
#ifndef WORKER_BLAME_H
#define WORKER_BLAME_H

#include <stdbool.h>
#include <stdint.h>

struct backend_view;
struct exchange;
struct pool_view;

enum {
    BLAME_UP = 2,   /* for an error where another answered well; a good answer takes 1 off: so
                     * who errs in more than a third of them is found */
    BLAME_FEW = 4,  /* twice in a row is no chance: it gets few from here on, until 0 */
    BLAME_MOST = 8, /* that many good answers clear it for certain */
    BLAME_PERMILLE = 50,     /* of its weight, then: enough to find that it is well again */
    BLAME_IN_VAIN = 3,       /* so many in a row asked again for nothing: it does not help */
    BLAME_IN_VAIN_MS = 1000, /* and what was learnt holds so long. Where it still holds, the
                              * budget lets enough be asked again to learn it anew */
};

/* An answer of x->backend, before it is passed on (status) or refused. */
void blame_response(struct exchange *x, unsigned status);
void blame_refuse(struct exchange *x);

/* Is it worth the wait for the budget? */
bool blame_retry_helps(const struct pool_view *pool);

/* Of its weight. */
uint32_t blame_permille(const struct backend_view *backend);

#endif
