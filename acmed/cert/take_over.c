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

static void take_over_says(uint64_t revoked_wall_ms, const char *follows,
                           char text[TABLE_REASON])
{
    char when[CLOCK_ISO_SIZE];

    snprintf(text, TABLE_REASON,
             "this certificate, or another one with its key, was revoked at %.16sZ%s",
             clock_iso(when, revoked_wall_ms), follows);
}

void take_over_refuses(const struct certificate *k, const struct pem_pair *pair,
                       char text[TABLE_REASON])
{
    uint64_t at = revoked_at(k->store, NULL, 0, pair);

    text[0] = '\0';
    if (at)
        take_over_says(at, " and is not used any more", text);
}

/* Is it what clients get now, or got from the predecessor? Its row tells that, and the mark on
 * the generation that the link names. */
static bool is_served(const struct certificate *k, uint32_t generation)
{
    return generation == k->row.generation ||
           (generation == store_current(k->store, k->row.name) &&
            store_marked_revoked(k->store, k->row.name, generation));
}

/* What a generation has to be. A revoked one is refused, whether this generation was revoked or
 * the same certificate under another name; but what was live then is served until it is
 * replaced, because there is nothing better. */
enum take {
    TAKE_GOOD,
    TAKE_SIGNED,  /* and not self-signed */
    TAKE_REVOKED, /* it may be revoked */
};

enum taken {
    TAKEN,
    NOT_GOOD,
    HAS_KEY, /* of another one that was revoked; good but for that, and not self-signed */
};

static bool may_serve(const struct certificate *k, uint32_t generation,
                      const struct pem_pair *pair, enum take how)
{
    return how == TAKE_REVOKED || is_served(k, generation) ||
           !revoked_at(k->store, k->row.name, generation, pair);
}

static void say_not_taken(const struct certificate *k, uint32_t generation, const char *why)
{
    log_warn("certificate %s: generation %u of the store: %s", k->conf->name, generation, why);
}

static void say_revoked(const struct certificate *k, uint32_t generation,
                        const struct pem_pair *pair)
{
    char text[TABLE_REASON];

    take_over_says(revoked_at(k->store, k->row.name, generation, pair),
                   "; a better one is looked for", text);
    say_not_taken(k, generation, text);
}

static enum taken take_pair(struct certificate *k, uint32_t generation, enum cert_source source,
                            const struct pem_pair *pair, enum take how)
{
    struct pem_info info;
    char error[TABLE_REASON];

    if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0) {
        say_not_taken(k, generation, error);
        return NOT_GOOD;
    }
    source = pem_source(source, &info);
    if (!still_good(k, source, &info) || (how != TAKE_GOOD && source == CERT_SELF_SIGNED))
        return NOT_GOOD;
    if (may_serve(k, generation, pair, how)) {
        deploy_take(k, generation, source, pair, &info);
        return TAKEN;
    }
    say_revoked(k, generation, pair);
    return source == CERT_SELF_SIGNED ||
                   store_marked_revoked(k->store, k->row.name, generation) ||
                   revoked_itself(k->store, pair)
               ? NOT_GOOD
               : HAS_KEY;
}

static enum taken take_generation(struct certificate *k, uint32_t generation, enum take how)
{
    enum cert_source source = CERT_NONE;
    enum taken taken;
    struct pem_pair pair;

    if (store_read(k->store, k->row.name, generation, &pair, &source) < 0) {
        say_not_taken(k, generation, strerror(errno));
        return NOT_GOOD;
    }
    taken = take_pair(k, generation, source, &pair, how);
    pem_pair_release(&pair);
    return taken;
}

/* The host may have died when another certificate with its key was on the list, and before this
 * one was marked. If it had been revoked itself while it was live, its mark would be older than
 * the list: then it is a copy, which must not go live. Clients had it, and most of them do not
 * ask whether it was revoked; all of them refuse a self-signed one. */
static void take_revoked(struct certificate *k, uint32_t generation)
{
    if (take_generation(k, generation, TAKE_REVOKED) == TAKEN)
        log_warn("certificate %s: the store has nothing better: generation %u stays live until "
                 "it is replaced",
                 k->conf->name, generation);
}

/* The previously live generation comes first, because newer ones have not been tested. */
static void look_into_own(struct certificate *k)
{
    uint32_t generations[STORE_KEEP], current = 0;
    enum taken taken = NOT_GOOD;
    enum take how;
    int n = 0;

    if (k->store->certs_fd >= 0) {
        current = store_current(k->store, k->row.name);
        n = store_list(k->store, k->row.name, generations, STORE_KEEP);
    }
    if (current)
        taken = take_generation(k, current, TAKE_GOOD);
    if (taken == TAKEN)
        return;
    how = taken == HAS_KEY ? TAKE_SIGNED : TAKE_GOOD;
    for (int i = 0; i < n; i++)
        if (generations[i] != current && take_generation(k, generations[i], how) == TAKEN) {
            store_set_current(k->store, k->row.name, generations[i]); /* or another time */
            return;
        }
    if (taken == HAS_KEY)
        take_revoked(k, current);
}

/* ---- a store that cannot be read for now */

static void describe_unread(const struct certificate *k, uint32_t generation, const char *file,
                            char why[TABLE_NOTE])
{
    const char *says = store_says(errno);
    char number[16] = "";

    if (generation)
        snprintf(number, sizeof number, "/%u", generation);
    snprintf(why, TABLE_NOTE, "cannot read the store %.100s/certs/%.100s%s%s%s: %s",
             k->store->path, k->row.name, number, *file ? "/" : "", file, says);
}

/* Is there something that was live, and cannot be read? If no link tells what that was, the
 * newest one counts. */
static bool is_unread(const struct certificate *k, char why[TABLE_NOTE])
{
    enum cert_source source;
    struct pem_pair pair;
    const char *file = "";
    uint32_t current;

    if (k->store->certs_fd < 0)
        return false;
    errno = 0;
    current = store_current(k->store, k->row.name);
    if (!current && !store_unreadable(errno) &&
        store_list(k->store, k->row.name, &current, 1) == 0)
        return false;
    if (current &&
        store_read_where(k->store, k->row.name, current, &pair, &source, &file) == 0) {
        pem_pair_release(&pair);
        return false;
    }
    if (!store_unreadable(errno))
        return false;
    describe_unread(k, current, file, why);
    return true;
}

static bool is_trusted(const struct certificate *k)
{
    return k->row.source >= CERT_FILE && clock_wall_ms() < k->row.not_after_wall_ms;
}

/* The link stays where it is. */
static void take_older(struct certificate *k)
{
    uint32_t generations[STORE_KEEP];
    int n = store_list(k->store, k->row.name, generations, STORE_KEEP);

    for (int i = 0; i < n; i++)
        if (take_generation(k, generations[i], TAKE_SIGNED) == TAKEN)
            return;
}

static void show_unread(struct certificate *k, const char *why)
{
    if (row_has_live(k)) {
        snprintf(k->unread, sizeof k->unread,
                 "%.380s; generation %u stays live, and nothing is ordered", why,
                 k->row.generation);
        row_store_unusable(k, k->unread);
        return;
    }
    snprintf(k->unread, sizeof k->unread, "%.380s; nothing is ordered until it can be read",
             why);
    row_store_unusable(k, k->unread); /* which logs it */
    snprintf(k->row.error, sizeof k->row.error, "%s", k->unread);
    row_complain(k, k->unread);
}

/* What cannot be read is not bad. Workers have it in memory, so that the row stays as it was;
 * the link must name it still when it can be read. Without such a row an older one that clients
 * trust is better than nothing, and nothing better than a self-signed one that would stay. */
static void wait_for_unread(struct certificate *k, const struct cert_row *before,
                            const char *why)
{
    bool first = !*k->unread;

    k->adopts = false;
    k->settled = true;
    k->unread_ms = clock_mono_ms() + CERTIFICATE_UNREAD_MS;
    if (before && before->source != CERT_NONE && before->generation) {
        k->row = *before;
        k->row.candidate = 0;
        k->row.error[0] = k->row.doing[0] = '\0';
    }
    if (first && !is_trusted(k))
        take_older(k);
    if (!row_has_live(k)) {
        k->highest = k->row.generation > k->highest ? k->row.generation : k->highest;
        k->row.generation = 0; /* workers would try to load it */
    }
    show_unread(k, why);
}

static bool wants_better(const struct certificate *k)
{
    return !row_has_live(k) || k->row.source < CERT_FILE || !k->covers ||
           k->row.revoked_wall_ms;
}

/* A pair under another name may be better than a live one that is self-signed, revoked or lacks
 * names. If nothing at all is live, adopting can wait for the certificate's turn: it needs time
 * for writing, and the workers have what they found by themselves (worker/certs_stored.c).
 * While the list of revoked ones cannot be read, it has to wait. */
void take_over_store(struct certificate *k, const struct cert_row *before)
{
    char why[TABLE_NOTE];
    uint32_t generation;

    if (is_unread(k, why)) {
        wait_for_unread(k, before, why);
        return;
    }
    k->unread[0] = '\0';
    look_into_own(k);
    k->adopts = k->store->certs_fd >= 0 && wants_better(k);
    if (!k->adopts || !row_has_live(k) || adopt_waits(k))
        return;
    k->adopts = false;
    generation = adopt(k);
    if (generation)
        take_generation(k, generation, TAKE_GOOD);
}

static void look_again(struct certificate *k)
{
    bool shown = strcmp(k->own_error, k->unread) == 0;
    uint32_t generation = k->row.generation;

    take_over_store(k, NULL);
    if (*k->unread)
        return;
    if (shown)
        row_complain(k, "");
    row_store_unusable(k, "");
    row_publish(k);
    k->issue.due_ms = k->due_ms = clock_mono_ms();
    if (k->row.generation == generation)
        return;
    heritage_ring_workers(k->heritage);
    deploy_tell(k);
}

bool take_over_waits(struct certificate *k, uint64_t now_ms)
{
    if (*k->unread && now_ms >= k->unread_ms)
        look_again(k);
    if (!*k->unread || (k->conf->source == CONF_CERT_FILES && !row_has_live(k)))
        return false;
    k->due_ms = k->unread_ms;
    return true;
}

void take_over_adopt(struct certificate *k)
{
    uint32_t generation;

    if (!k->adopts || deploy_waits(k) || adopt_waits(k))
        return;
    k->adopts = false;
    generation = wants_better(k) ? adopt(k) : 0;
    if (generation && take_generation(k, generation, TAKE_GOOD) == TAKEN) {
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
