/* A client's connection that speaks HTTP/1.1: the carrier of its exchanges, one
 * after the other. Worker only.
 *
 *   HANDSHAKE -> IDLE -> HEAD -> EXCHANGE -> IDLE ... -> LINGER -> closed
 *
 * A client runs when the socket tells something, or when its turn comes in the
 * worker's run list; exchanges only leave word (want_body, finish) and never
 * run it from within. */
#ifndef WORKER_CLIENT_H
#define WORKER_CLIENT_H

#include <stdbool.h>
#include <sys/socket.h>

struct conf_listen;
struct worker;

/* Takes over an accepted, non-blocking socket; closes it when it cannot. */
void client_open(struct worker *worker, int fd, const struct conf_listen *listen,
                 const struct sockaddr *from, socklen_t len);

/* Runs those whose turn has come. */
void clients_run(struct worker *worker);

/* Closes the connection that waits for its client's next request for longest, so that another
 * client can come: all other work goes on. false: there is none to close. */
bool clients_make_room(struct worker *worker);

/* The worker drains: idle clients may ask once more, for a short time. */
void clients_drain(struct worker *worker);

/* Ends all, whatever they do. */
void clients_close_all(struct worker *worker);

#endif
