/* The error score: whose fault is an error response that `retry_on` names?
 * Retrying the same request elsewhere tells: if another backend serves it, the first backend's;
 * if that one fails it as well, the application's or the request's. Error responses alone say
 * nothing against a backend, because they are often intended (a record lock, an ABL error).
 * What follows:
 *
 * - A backend that fails requests which others serve gets few new requests, safe or not. It is
 *   not ejected: it keeps its sessions, and a few good responses of its own clear it.
 * - A failed request waits for the retry budget as long as retries help. Where all fail it, it
 *   gets the error response at once instead of waiting in vain.
 *
 * Each worker uses its own observations; the table has them for the status only. Worker only;
 * the state is in struct backend_view and struct pool_view, all 0 at start. */
#ifndef WORKER_ERROR_SCORE_H
#define WORKER_ERROR_SCORE_H

#include <stdbool.h>
#include <stdint.h>

struct backend_view;
struct pool_view;

enum {
    ERROR_SCORE_UP = 2, /* added for an error where another served; a good response subtracts 1:
                     so a backend that fails more than a third is found */
    /* two in a row are no coincidence: reduced weight until the score is 0 */
    ERROR_SCORE_FEW = 4,
    ERROR_SCORE_MOST = 8, /* maximum: that many good responses always clear it */
    /* of its weight, meanwhile: enough to notice when it is good again */
    ERROR_SCORE_PERMILLE = 50,
    ERROR_SCORE_USELESS = 3,       /* so many useless retries in a row: retries do not help */
    ERROR_SCORE_USELESS_MS = 1000, /* how long that holds; each useless retry renews it, and the
                                budget lets enough of them through */
};

/* A response with this status is about to be passed on. refused: the backend whose error
 * response to the same request was not, NULL: none. */
void error_score_response(struct backend_view *backend, struct backend_view *refused,
                          unsigned status);

/* Is waiting for the retry budget useful? */
bool error_score_retries_help(const struct pool_view *pool);

/* The permille of its weight to use. */
uint32_t error_score_permille(const struct backend_view *backend);

#endif
