#include "acmed/cert/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/cert/pem_leaf.h"
#include "acmed/cert/revoked.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/stored.h"

enum { READ_MS = 10000 /* limit for reading; a disk may be slow, and other work waits */ };

enum rank { RANK_LIVE, RANK_CURRENT, RANK_OTHER };

struct candidate {
    const char *dir; /* points into found.stored */
    uint32_t generation;
    enum rank rank;
    uint64_t since_ns; /* when the directory's link was set */
    uint64_t not_after_wall_ms;
    char *names; /* as stored_covers() takes them */
};

static struct {
    const struct heritage *heritage;
    struct stored_live live;
    bool waits; /* a certificate does, for the list of revoked ones */
    bool read;  /* the fields below are valid */
    struct stored stored;
    struct candidate *v;
    size_t n, room;
} found;

static void adopt_release(void)
{
    for (size_t i = 0; i < found.n; i++)
        free(found.v[i].names);
    free(found.v);
    stored_release(&found.stored);
    stored_live_release(&found.live);
    memset(&found, 0, sizeof found);
}

/* One that waited in this round may have its turn in the next. */
void adopt_end(void)
{
    if (!found.waits)
        adopt_release();
    found.waits = false;
}

void adopt_begin(const struct heritage *heritage)
{
    adopt_release();
    found.heritage = heritage;
    stored_live_read(heritage->table, &found.live);
}

/* ---- candidates in the store */

static void adopt_add(const struct candidate *c)
{
    if (found.n == found.room) {
        size_t room = found.room ? found.room * 2 : 64;
        struct candidate *v = realloc(found.v, room * sizeof *v);

        if (!v) {
            free(c->names);
            return;
        }
        found.v = v;
        found.room = room;
    }
    found.v[found.n++] = *c;
}

static void adopt_look_at(const struct store *store, const struct stored_folder *f,
                          uint32_t generation)
{
    const uint64_t now = clock_wall_ms();
    enum cert_source source;
    struct pem_pair pair;
    struct pem_leaf leaf;

    if (store_read(store, f->name, generation, &pair, &source) < 0)
        return;
    if (!revoked_at(store, f->name, generation, &pair) && pem_leaf_read(&pair, &leaf)) {
        if (now >= leaf.not_before_wall_ms && now < leaf.not_after_wall_ms)
            adopt_add(&(struct candidate){
                .dir = f->name,
                .generation = generation,
                .rank = generation != f->generation ? RANK_OTHER
                        : f->live                   ? RANK_LIVE
                                                    : RANK_CURRENT,
                .since_ns = f->since_ns,
                .not_after_wall_ms = leaf.not_after_wall_ms,
                .names = leaf.names,
            });
        else
            free(leaf.names);
    }
    pem_pair_release(&pair);
}

static int best_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->rank == RANK_CURRENT && x->since_ns != y->since_ns)
        return x->since_ns > y->since_ns ? -1 : 1;
    if (x->not_after_wall_ms != y->not_after_wall_ms)
        return x->not_after_wall_ms > y->not_after_wall_ms ? -1 : 1;
    return (x > y) - (x < y);
}

static void adopt_look_into(const struct store *store, const struct stored_folder *f)
{
    uint32_t generations[STORE_KEEP];
    int n = store_list(store, f->name, generations, STORE_KEEP);
    bool seen = f->generation == 0;

    for (int i = 0; i < n; i++) {
        adopt_look_at(store, f, generations[i]);
        seen |= generations[i] == f->generation;
    }
    if (!seen)
        adopt_look_at(store, f, f->generation);
}

/* Reads once for all: every certificate of the configuration may have a new name. */
static void read_all(const struct store *store)
{
    const struct heritage *heritage = found.heritage;
    const uint64_t until_ms = clock_mono_ms() + READ_MS;
    size_t i = 0, left;

    found.read = true;
    if (stored_read(store->certs_fd, &found.live, &found.stored) < 0)
        return;
    for (; i < found.stored.n && clock_mono_ms() < until_ms; i++) {
        atomic_store(&heritage->table->acmed_heartbeat_ms, clock_mono_ms());
        if (!cert_configured(heritage->conf, found.stored.v[i].name))
            adopt_look_into(store, &found.stored.v[i]);
    }
    if (found.n)
        qsort(found.v, found.n, sizeof *found.v, best_first);
    left = found.stored.left_out + found.stored.n - i;
    if (left)
        log_warn(
            "%zu of the %zu directories in %s/certs were not searched for a renamed "
            "certificate, because there are too many; those that went live most recently were "
            "searched; `pasgate cert delete NAME` removes one that is no longer configured",
            left, found.stored.n + found.stored.left_out, store->path);
}

/* ---- taking one over */

static uint32_t adopt_take(struct certificate *k, const struct candidate *c,
                           const struct pem_pair *pair, enum cert_source source)
{
    uint32_t generation = store_write(k->store, k->row.name, k->row.generation, pair, source);

    if (generation && store_set_current(k->store, k->row.name, generation) == 0)
        log_info("certificate %s: using generation %u of %s from the store, which covers all "
                 "its names",
                 k->conf->name, c->generation, c->dir);
    else
        log_warn("certificate %s: cannot use generation %u of %s: %s", k->conf->name,
                 c->generation, c->dir, store_says(errno));
    return generation;
}

/* 0: the pair is not good after all, or the store could not be written. */
static uint32_t adopt_try_it(struct certificate *k, const struct candidate *c)
{
    enum cert_source source;
    struct pem_pair pair;
    struct pem_info info;
    char error[TABLE_REASON];
    uint32_t generation = 0;

    if (store_read(k->store, c->dir, c->generation, &pair, &source) < 0)
        return 0;
    if (!revoked_at(k->store, c->dir, c->generation, &pair) &&
        pem_check(&pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) ==
            0 &&
        !info.self_signed && info.covers && pem_suits(&info, k->conf))
        generation = adopt_take(k, c, &pair, pem_source(source, &info));
    pem_pair_release(&pair);
    return generation;
}

static bool may_adopt(const struct certificate *k)
{
    return k->store->ours && k->conf->source == CONF_CERT_ACME && found.heritage;
}

bool adopt_waits(const struct certificate *k)
{
    char why[TABLE_NOTE];

    if (!may_adopt(k))
        return false;
    if (revoked_readable(k->store, why))
        return false;
    found.waits = true;
    return true;
}

uint32_t adopt(struct certificate *k)
{
    uint32_t generation = 0;

    if (!may_adopt(k) || adopt_waits(k))
        return 0;
    if (!found.read)
        read_all(k->store);
    for (size_t i = 0; i < found.n && !generation; i++)
        if (stored_covers(found.v[i].names, k->conf->names, k->conf->n_names))
            generation = adopt_try_it(k, &found.v[i]);
    return generation;
}
