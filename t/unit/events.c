/* Signals to the supervisor (supervisor/events.c): of a flood it handles some in each turn of
 * the loop, in between others have their turn, and no signal is lost. */
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/container.h"
#include "base/log.h"
#include "shm/message.h"
#include "supervisor/signals.h"
#include "supervisor/supervise.h"
#include "t/unit/tap.h"

enum { FLOOD = 3 * EVENTS_SIGNALS + 8, TURNS = FLOOD / EVENTS_SIGNALS + 1 };

static const struct conf_cert cert = {.name = "a.test"};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct generation generation = {.conf = &conf};
static struct supervisor sup = {.current = &generation};

/* Something else of the loop: readable all the time. */
struct other {
    struct loop_source source;
    int turns;
};

static void on_other(struct loop_source *source, uint32_t events)
{
    (void)events;
    container_of(source, struct other, source)->turns++;
}

/* acmed's end: what the supervisor has passed on, in the order of the signals. */
static int passed_on(int acmed, uint32_t *last)
{
    struct message message;
    int n = 0, fd;

    while (message_recv(acmed, &message, &fd) == 1) {
        n++;
        *last = (uint32_t)message.value;
    }
    return n;
}

int main(void)
{
    struct other other = {.source.ready = on_other};
    const int signal = SIGRTMIN + SIGNAL_CERT + CERT_REVOKE - CERT_RENEW;
    struct process *acmed = &sup.process[ROW_ACMED];
    int pair[2], ready[2], sent = 0, handled = 0, most = 0, turns = 0;
    uint32_t last = 0;

    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "events");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) < 0 || pipe(ready) < 0 ||
        write(ready[1], "", 1) != 1)
        return 1;
    acmed->kind = KIND_ACMED;
    acmed->generation = &generation;
    acmed->control.fd = pair[0];
    events_block();
    if (loop_init(&sup.loop) < 0 || events_open(&sup) < 0 ||
        loop_add(&sup.loop, &other.source, ready[0], EPOLLIN) < 0)
        return 1;

    while (sent < FLOOD) {
        int reason = sent % REASON_LAST;
        union sigval value = {.sival_int = 1 | reason << REASON_SHIFT};

        if (sigqueue(getpid(), signal, value) < 0)
            break;
        sent++;
    }
    is_int(sent, FLOOD, "requests to acmed, by signals");
    for (; handled < sent && turns < 2 * TURNS; turns++) {
        loop_once(&sup.loop, 0);
        int n = passed_on(pair[1], &last);

        handled += n;
        most = n > most ? n : most;
    }
    is_int(most, EVENTS_SIGNALS, "signals handled in one turn of the loop");
    is_int(handled, FLOOD, "all of them in the next turns");
    is_int(turns, TURNS, "in no more turns than that needs");
    is_int(other.turns, turns, "and others have their turn each time");
    is_int(last, (FLOOD - 1) % REASON_LAST, "the last one is the last");
    return done();
}
