#include "acmed/cert/take_over.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/cert/adopt.h"
#include "acmed/cert/deploy.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/row.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

static bool still_good(const struct certificate *k, enum cert_source source,
                       const struct pem_info *info)
{
    bool current = info->covers && clock_wall_ms() < info->not_after_wall_ms;
    bool ours = source == CERT_SELF_SIGNED && current && info->n_names == k->conf->n_names;

    switch (k->conf->source) {
    case CONF_CERT_FILES: /* the first round shows whether the files still match */
        return source == CERT_FILE || current;
    case CONF_CERT_SELF:
        return ours;
    default: /* a CA's is better than self-signed, even if it lacks a new name */
        return ours || (source == CERT_ACME && clock_wall_ms() < info->not_after_wall_ms) ||
               (source == CERT_FILE && current);
    }
}

static void take_over_says(uint64_t revoked_wall_ms, char text[TABLE_REASON])
{
    char when[CLOCK_ISO_SIZE];

    snprintf(text, TABLE_REASON,
             "this certificate, or another one with its key, was revoked at %.16sZ and is "
             "not used any more",
             clock_iso(when, revoked_wall_ms));
}

void take_over_refuses(const struct certificate *k, const struct pem_pair *pair,
                       char text[TABLE_REASON])
{
    uint64_t at = revoked_at(k->store, NULL, 0, pair);

    text[0] = '\0';
    if (at)
        take_over_says(at, text);
}

/* Is it what clients get now, or got from the predecessor? Its row tells that, and the mark on
 * the generation that the link names. */
static bool is_served(const struct certificate *k, uint32_t generation)
{
    return generation == k->row.generation ||
           (generation == store_current(k->store, k->row.name) &&
            store_marked_revoked(k->store, k->row.name, generation));
}

/* One that was live when it was revoked is still served until it is replaced, because there is
 * nothing better. Others are not used any more, whether this generation was revoked, or the
 * same certificate under another name. */
static bool revoked_before(const struct certificate *k, uint32_t generation,
                           const struct pem_pair *pair)
{
    char text[TABLE_REASON];
    uint64_t at = revoked_at(k->store, k->row.name, generation, pair);

    if (!at || is_served(k, generation))
        return false;
    take_over_says(at, text);
    log_warn("certificate %s: generation %u of the store: %s", k->conf->name, generation, text);
    return true;
}

static bool take_generation(struct certificate *k, uint32_t generation)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;
    struct pem_info info;
    char error[TABLE_REASON];
    bool good = false;

    if (store_read(k->store, k->row.name, generation, &pair, &source) < 0) {
        log_warn("certificate %s: generation %u of the store: %s", k->conf->name, generation,
                 strerror(errno));
        return false;
    }
    if (pem_check(&pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0)
        log_warn("certificate %s: generation %u of the store: %s", k->conf->name, generation,
                 error);
    else
        good = still_good(k, source = pem_source(source, &info), &info) &&
               !revoked_before(k, generation, &pair);
    if (good)
        deploy_take(k, generation, source, &pair, &info);
    pem_pair_release(&pair);
    return good;
}

/* The previously live generation comes first, because newer ones have not been tested. */
static void look_into_own(struct certificate *k)
{
    uint32_t generations[STORE_KEEP], current = 0;
    int n = 0;

    if (k->store->certs_fd >= 0) {
        current = store_current(k->store, k->row.name);
        n = store_list(k->store, k->row.name, generations, STORE_KEEP);
    }
    if (current && take_generation(k, current))
        return;
    for (int i = 0; i < n; i++)
        if (generations[i] != current && take_generation(k, generations[i])) {
            store_set_current(k->store, k->row.name, generations[i]); /* or another time */
            return;
        }
}

static bool wants_better(const struct certificate *k)
{
    return !row_has_live(k) || k->row.source < CERT_FILE || !k->covers;
}

/* A pair under another name may be better than a live one that is self-signed or lacks names.
 * If nothing at all is live, adopting can wait for the certificate's turn: it needs time for
 * writing, and the workers have what they found by themselves (worker/certs_stored.c). While
 * the list of revoked ones cannot be read, it has to wait. */
void take_over_store(struct certificate *k)
{
    uint32_t generation;

    look_into_own(k);
    k->adopts = k->store->certs_fd >= 0 && wants_better(k);
    if (!k->adopts || !row_has_live(k) || adopt_waits(k))
        return;
    k->adopts = false;
    generation = adopt(k);
    if (generation)
        take_generation(k, generation);
}

void take_over_adopt(struct certificate *k)
{
    uint32_t generation;

    if (!k->adopts || deploy_waits(k) || adopt_waits(k))
        return;
    k->adopts = false;
    generation = wants_better(k) ? adopt(k) : 0;
    if (generation && take_generation(k, generation)) {
        row_publish(k);
        heritage_ring_workers(k->heritage);
        deploy_tell(k);
    }
}

/* The workers still have the predecessor's certificate in memory, though it is gone from the
 * store: that is better than a self-signed one in its place. */
bool take_over_lost(struct certificate *k, const struct cert_row *before)
{
    if (k->settled || !before || before->source < CERT_FILE || !before->generation ||
        k->conf->source == CONF_CERT_SELF || !k->store->ours ||
        clock_wall_ms() >= before->not_after_wall_ms ||
        store_has(k->store, k->row.name, before->generation))
        return false;
    k->row = *before;
    k->lost = k->settled = true;
    return true;
}
