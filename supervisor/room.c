#include "supervisor/room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/challenges.h"
#include "shm/exchange_ring.h"
#include "shm/sessions.h"
#include "supervisor/errors.h"
#include "supervisor/supervise.h"

enum { KIB = 1024 };

#define HOW_TO_MEND \
    "free some, or make it larger (mount -o remount,size=256m /dev/shm; in Docker --shm-size)"

static uint32_t count_slots(const struct generation *g)
{
    uint32_t n = 0;

    for (size_t i = 0; i < g->conf->n_backends; i++)
        n = g->backend_slot[i] >= n ? g->backend_slot[i] + 1U : n;
    return n;
}

static uint32_t challenge_rows(const struct conf *conf)
{
    uint64_t names = 0;

    for (size_t i = 0; i < conf->n_certs; i++)
        names += conf->certs[i].source == CONF_CERT_ACME ? conf->certs[i].n_names : 0;
    return challenges_needed(names);
}

/* Bytes that its rows still need. */
static uint64_t missing(const struct supervisor *sup, const struct generation *g)
{
    uint32_t rows = 0;
    uint64_t n = table_certs_missing((uint32_t)g->conf->n_certs, challenge_rows(g->conf));

    for (int r = 0; r < TABLE_WORKERS && rows < g->workers; r++) {
        if (sup->process[r].fsm.state != CHILD_EMPTY)
            continue;
        n += table_row_missing(r, g->room);
        rows++;
    }
    return n;
}

static int reserve(const struct supervisor *sup, const struct generation *g)
{
    uint32_t rows = 0;

    if (table_reserve_certs(sup->table, (uint32_t)g->conf->n_certs, challenge_rows(g->conf)) <
        0)
        return -1;
    for (int r = 0; r < TABLE_WORKERS && rows < g->workers; r++) {
        if (sup->process[r].fsm.state != CHILD_EMPTY)
            continue;
        if (table_reserve_row(r, g->room) < 0)
            return -1;
        rows++;
    }
    return 0;
}

static void tell_shrunk(const struct generation *g, uint64_t room, uint32_t want,
                        uint32_t records)
{
    uint32_t words = g->room.session_words;
    char sessions[160] = "";

    if (words == 0)
        snprintf(sessions, sizeof sessions,
                 ", and sessions are not counted: a drain still waits for them, but nothing "
                 "tells how many there are");
    else if (words < TABLE_SESSION_WORDS)
        snprintf(sessions, sizeof sessions,
                 ", and counts sessions in %u bits per backend instead of %d: no more than %u "
                 "are told, and these less exactly",
                 words * 64, SESSIONS_BITS, sessions_estimate(words * 64, words * 64));
    log_warn("little shared memory (%" PRIu64 " KiB free in /dev/shm): each worker remembers "
             "the last %u exchanges of a backend instead of %u%s; " HOW_TO_MEND,
             room / KIB, records, want, sessions);
}

int room_reserve(struct supervisor *sup, struct generation *g, struct conf_errors *errs)
{
    uint32_t slots = count_slots(g), want = exchange_ring_records(slots, g->workers);
    uint64_t room = table_room(), need;

    g->room = (struct row_room){.session_words = TABLE_SESSION_WORDS, .records = want};
    while ((need = missing(sup, g)) > room && table_room_shrink(&g->room))
        ;
    errno = ENOSPC;
    if (need > room || reserve(sup, g) < 0) {
        errors_add(errs,
                   "too little shared memory for %u workers and %zu certificates: %" PRIu64
                   " KiB more are needed in "
                   "/dev/shm and %" PRIu64 " KiB are free (%s): " HOW_TO_MEND,
                   g->workers, g->conf->n_certs, need / KIB, room / KIB, strerror(errno));
        return -1;
    }
    if (g->room.records < want)
        tell_shrunk(g, room, want / slots, g->room.records / slots);
    return 0;
}

void room_tell_no_table(const char *object, int error)
{
    if (error == ENOMEM)
        log_error("cannot map the table (%zu MiB of addresses): %s: the limit of the address "
                  "space is too low; raise it (ulimit -v, LimitAS of systemd)",
                  sizeof(struct table) >> 20, strerror(error));
    else if (error == EFBIG)
        log_error("cannot make the table (%zu MiB): %s: the limit of a file's size is too "
                  "low; raise it (ulimit -f, LimitFSIZE of systemd)",
                  sizeof(struct table) >> 20, strerror(error));
    else if (error == ENOSPC)
        log_error("too little shared memory for the table: %d KiB are needed in /dev/shm, and "
                  "more for each worker, and %" PRIu64 " KiB are free (%s): " HOW_TO_MEND,
                  TABLE_FIXED / KIB, table_room() / KIB, strerror(error));
    else
        log_error("cannot make the table %s in /dev/shm: %s", object, strerror(error));
}
