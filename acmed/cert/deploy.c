#include "acmed/cert/deploy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acmed/cert/pem_ari.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/row.h"
#include "acmed/cert/selfsigned.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"

void deploy_tell(const struct certificate *k)
{
    time_t until = (time_t)(k->row.not_after_wall_ms / 1000);
    char day[sizeof "2026-11-22"] = "?";
    struct tm tm;

    if (gmtime_r(&until, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    log_info("certificate %s: generation %u live, until %s, issuer %s", k->conf->name,
             k->row.generation, day, k->row.issuer);
    if (*k->incomplete)
        log_warn("certificate %s: %s: some clients will refuse it", k->conf->name,
                 k->incomplete);
}

/* ---- properties of a generation */

static void deploy_describe(const struct certificate *k, struct certificate_next *next,
                            uint32_t generation, enum cert_source source,
                            const struct pem_pair *pair, const struct pem_info *info)
{
    *next = (struct certificate_next){.source = source, .info = *info};
    next->revoked_wall_ms = revoked_at(k->store, k->row.name, generation, pair);
    next->key_known = next->revoked_wall_ms && revoked_by_key(k->store, pair);
    next->revoked_epoch = revoked_epoch();
    proof_begin(&next->proof, generation);
    pem_digest(pair, next->digest);
    if (source == CERT_ACME)
        pem_ari(next->ari_id, str_make(pair->chain, pair->n_chain));
}

static void set_live(struct certificate *k, const struct certificate_next *next)
{
    struct cert_row *row = &k->row;

    if (row->generation != next->proof.candidate && !k->hook_generation)
        k->hook_calls = (struct store_calls){0}; /* they were about the one before */
    row->source = (uint8_t)next->source;
    row->generation = next->proof.candidate;
    row->candidate = 0;
    row->not_before_wall_ms = next->info.not_before_wall_ms;
    row->not_after_wall_ms = next->info.not_after_wall_ms;
    row->revoked_wall_ms = next->revoked_wall_ms;
    row->key_known = next->key_known;
    row->next_try_wall_ms = next->source == CERT_SELF_SIGNED && !k->not_ordered
                                ? selfsigned_renewal(row->not_after_wall_ms)
                                : 0;
    snprintf(row->issuer, sizeof row->issuer, "%s", next->info.issuer);
    memcpy(row->key, next->info.key, sizeof row->key);
    memcpy(k->digest, next->digest, sizeof k->digest);
    memcpy(k->ari_id, next->ari_id, sizeof k->ari_id);
    memcpy(k->incomplete, next->info.incomplete, sizeof k->incomplete);
    row_show_notes(k);
    k->covers = next->info.covers && pem_suits(&next->info, k->conf);
    k->revoked_epoch = next->revoked_epoch; /* it may have been revoked during its test */
    k->mark_ms = 0;
    k->lost = false;
    k->settled = true;
}

void deploy_look_at_mark(struct certificate *k, uint64_t now_ms)
{
    bool again = k->mark_ms > 1;

    if (!k->mark_ms || now_ms < k->mark_ms || !k->store->ours || k->lost)
        return;
    k->mark_ms = now_ms + CERTIFICATE_RETRY_MS;
    if (store_mark_revoked(k->store, k->row.name, k->row.generation, k->mark_reason) == 0) {
        k->mark_ms = 0;
        if (again)
            log_info("certificate %s: generation %u is marked as revoked in the store now",
                     k->conf->name, k->row.generation);
    } else if (!again) {
        log_warn("certificate %s: cannot mark generation %u as revoked in the store: %s; "
                 "retried every %d s; after a restart it may not be replaced or not be served",
                 k->conf->name, k->row.generation, store_says(errno),
                 CERTIFICATE_RETRY_MS / 1000);
    }
}

void deploy_note_revoked(struct certificate *k, const struct pem_pair *pair, unsigned reason)
{
    if (!k->mark_ms && !store_marked_revoked(k->store, k->row.name, k->row.generation)) {
        k->mark_ms = 1; /* at once */
        k->mark_reason = reason;
        deploy_look_at_mark(k, clock_mono_ms());
    }
    reason = k->mark_ms ? k->mark_reason
                        : store_marked_reason(k->store, k->row.name, k->row.generation);
    if (!revoked_at(k->store, NULL, 0, pair) &&
        revoked_add(k->store, pair, reason, k->row.revoked_wall_ms) < 0)
        log_warn("certificate %s: cannot add generation %u to the list of revoked ones yet: %s",
                 k->conf->name, k->row.generation, store_says(errno));
}

void deploy_take(struct certificate *k, uint32_t generation, enum cert_source source,
                 const struct pem_pair *pair, const struct pem_info *info)
{
    struct certificate_next next;
    const char *event;

    deploy_describe(k, &next, generation, source, pair, info);
    set_live(k, &next);
    event = store_event(k->store, k->row.name, generation);
    if (event && k->store->ours) /* a predecessor ended before the hook was called for it */
        hook_queue_deployed(&k->hook_queue, event);
    if (next.revoked_wall_ms && k->store->ours)
        deploy_note_revoked(k, pair, 0);
}

/* ---- from the store to the workers */

/* The words for a store that is not ours are the same as at each check in acmed.c, so that they
 * are logged once. */
static void store_trouble(struct certificate *k)
{
    char error[TABLE_REASON];

    snprintf(error, sizeof error, "%s %.90s: %s",
             k->store->ours ? "cannot write to the store" : "the store",
             k->heritage->conf->acme.store, store_says(errno));
    k->row.next_try_wall_ms = clock_wall_ms() + CERTIFICATE_RETRY_MS;
    row_complain(k, error);
}

/* What the hook is called for once this candidate is live; NULL: nothing. */
static const char *deploy_event(const struct certificate *k)
{
    bool renews = k->row.source == k->next.source;

    if (k->next.cause == CERTIFICATE_CA)
        return renews ? "renewed" : "issued";
    return k->next.cause == CERTIFICATE_FILES && renews ? "renewed" : NULL;
}

static void drop(struct certificate *k, enum certificate_end end, const char *why)
{
    struct certificate_next next = k->next;
    char text[TABLE_REASON + 64];

    snprintf(text, sizeof text, "generation %u was not accepted: %s", next.proof.candidate,
             why);
    store_reject(k->store, k->row.name, next.proof.candidate);
    k->next = (struct certificate_next){0};
    k->row.candidate = 0;
    k->outcome(k, next.cause, end, text);
    row_publish(k);
}

/* Notes it in the store: the event, the link. false: not now; this is retried, and logged once.
 */
static bool note_live(struct certificate *k, const char *event, uint64_t now_ms)
{
    uint32_t generation = k->next.proof.candidate;
    bool again = k->next.retry_ms != 0;

    if (event && k->heritage->conf->acme.hook[0] &&
        store_put_event(k->store, k->row.name, generation, event) < 0 && !again)
        log_warn("certificate %s: cannot note in the store that acme.hook is to be called: %s; "
                 "a restart before the call would lose it",
                 k->conf->name, strerror(errno));
    if (store_set_current(k->store, k->row.name, generation) < 0 &&
        k->row.source != CERT_NONE) {
        store_trouble(k);
        k->next.retry_ms = now_ms + CERTIFICATE_RETRY_MS;
        return false;
    }
    if (again)
        log_info("certificate %s: the store can be written to again", k->conf->name);
    return true;
}

/* Makes it live in all workers. The link is set first, so that a successor does not go back to
 * the old one; if the store cannot be written, this is retried. */
static void deploy_commit(struct certificate *k, uint64_t now_ms)
{
    struct certificate_next next = k->next;
    const char *odd = *next.info.warning ? next.info.warning : next.warning;
    const char *event = deploy_event(k);

    if (k->row.source != CERT_NONE && !store_has(k->store, k->row.name, next.proof.candidate)) {
        drop(k, CERTIFICATE_GONE, "it is gone from the store");
        return;
    }
    /* A successor that finds a rollback must not renew what was rolled back from. */
    if (next.cause == CERTIFICATE_ROLLBACK && !next.retry_ms)
        issue_hold(&k->issue, next.info.not_after_wall_ms);
    if (!note_live(k, event, now_ms))
        return;
    k->next = (struct certificate_next){0};
    set_live(k, &next);
    row_publish(k);
    heritage_ring_workers(k->heritage);
    if (revoked_list_marked(k->store, k->row.name))
        store_prune(k->store, k->row.name);
    deploy_tell(k);
    if (event)
        hook_queue_deployed(&k->hook_queue, event);
    k->outcome(k, next.cause, CERTIFICATE_LIVES, odd);
    row_publish(k);
}

static bool lenient(const struct certificate *k)
{
    return k->next.cause == CERTIFICATE_FILES || k->next.cause == CERTIFICATE_ROLLBACK;
}

static void deploy_ask(struct certificate *k)
{
    const struct proof *proof = &k->next.proof;

    k->row.candidate = proof->candidate;
    k->row.prover = (uint16_t)proof->row;
    row_publish(k);
    fd_ring(k->heritage->doorbell[proof->row]);
}

static void deploy_judge(struct certificate *k, const struct cert_finding *finding,
                         uint64_t now_ms)
{
    proof_text(finding, k->conf, pem_tls_reason(finding->error), k->next.warning);
    if (proof_takes(finding, lenient(k)))
        deploy_commit(k, now_ms);
    else if (proof_doubt(&k->next.proof, k->heritage, now_ms))
        deploy_ask(k);
    else
        drop(k, CERTIFICATE_REJECTED, k->next.warning);
}

bool deploy_waits(const struct certificate *k)
{
    return k->next.proof.candidate != 0;
}

void deploy_look(struct certificate *k, uint64_t now_ms)
{
    struct certificate_next *next = &k->next;
    struct cert_finding finding;

    k->due_ms = now_ms + DEPLOY_LOOK_MS;
    if (next->retry_ms) {
        if (now_ms >= next->retry_ms)
            deploy_commit(k, now_ms);
        return;
    }
    switch (proof_look(&next->proof, k->heritage, k->conf->index, now_ms, &finding)) {
    case PROOF_WAITS:
        return;
    case PROOF_ASKS:
        deploy_ask(k);
        return;
    case PROOF_DONE:
        deploy_judge(k, &finding, now_ms);
        return;
    case PROOF_DIES:
        drop(k, CERTIFICATE_REJECTED, "workers that tested it crashed");
        return;
    case PROOF_NONE: /* no worker is ready yet: keep the live one until one is */
        return;
    }
}

static bool offer(struct certificate *k, const struct pem_pair *pair, enum cert_source source,
                  const struct pem_info *info, enum certificate_cause cause, uint32_t of)
{
    uint64_t now_ms = clock_mono_ms();
    uint32_t above = k->highest > k->row.generation ? k->highest : k->row.generation;
    uint32_t generation = 0;

    if (store_open(k->store, k->heritage->conf->acme.store) == 0)
        generation = store_write_again(k->store, k->row.name, above, pair, source, of);
    if (generation == 0) {
        store_trouble(k);
        return false;
    }
    k->highest = generation;
    deploy_describe(k, &k->next, generation, source, pair, info);
    k->next.cause = cause;
    if (k->row.source == CERT_NONE || !proof_needed(k->heritage))
        deploy_commit(k, now_ms);
    else
        deploy_look(k, now_ms);
    return true;
}

bool deploy_offer(struct certificate *k, const struct pem_pair *pair, enum cert_source source,
                  const struct pem_info *info, enum certificate_cause cause)
{
    return offer(k, pair, source, info, cause, 0);
}

bool deploy_offer_again(struct certificate *k, const struct pem_pair *pair,
                        enum cert_source source, const struct pem_info *info, uint32_t of)
{
    return offer(k, pair, source, info, CERTIFICATE_ROLLBACK, of);
}
