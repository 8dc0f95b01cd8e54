#include "acmed/live.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acmed/pem_ari.h"
#include "acmed/selfsigned.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"

void live_publish(struct keeper *k)
{
    cert_publish(&k->heritage->table->cert[k->conf->index], &k->row);
}

void live_complain(struct keeper *k, const char *error)
{
    if (strncmp(k->row.error, error, sizeof k->row.error) == 0)
        return;
    snprintf(k->row.error, sizeof k->row.error, "%s", error);
    if (error[0] != '\0')
        log_warn("certificate %s: %s", k->conf->name, error);
    live_publish(k);
}

void live_tell(const struct keeper *k)
{
    time_t until = (time_t)(k->row.not_after_wall_ms / 1000);
    char day[sizeof "2026-11-22"] = "?";
    struct tm tm;

    if (gmtime_r(&until, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    log_info("certificate %s: generation %u live, until %s, issuer %s", k->conf->name,
             k->row.generation, day, k->row.issuer);
}

/* ---- what is known of a generation */

static void describe(struct keeper_next *next, uint32_t generation, enum cert_source source,
                     const struct pem_pair *pair, const struct pem_info *info)
{
    *next = (struct keeper_next){.source = source, .info = *info};
    proof_begin(&next->proof, generation);
    pem_digest(pair, next->digest);
    if (source == CERT_ACME)
        pem_ari(next->ari_id, str_make(pair->chain, pair->n_chain));
}

static void set_live(struct keeper *k, const struct keeper_next *next)
{
    struct cert_row *row = &k->row;

    row->source = (uint8_t)next->source;
    row->generation = next->proof.candidate;
    row->candidate = 0;
    row->not_before_wall_ms = next->info.not_before_wall_ms;
    row->not_after_wall_ms = next->info.not_after_wall_ms;
    row->next_try_wall_ms =
        next->source == CERT_SELF_SIGNED ? selfsigned_renewal(row->not_after_wall_ms) : 0;
    snprintf(row->issuer, sizeof row->issuer, "%s", next->info.issuer);
    memcpy(k->digest, next->digest, sizeof k->digest);
    memcpy(k->ari_id, next->ari_id, sizeof k->ari_id);
    k->covers = next->info.covers;
    k->revoked = store_revoked(k->store, row->name, row->generation);
    k->settled = true;
}

void live_take(struct keeper *k, uint32_t generation, enum cert_source source,
               const struct pem_pair *pair, const struct pem_info *info)
{
    struct keeper_next next;

    describe(&next, generation, source, pair, info);
    set_live(k, &next);
}

/* ---- the way there */

static void store_trouble(struct keeper *k)
{
    char error[TABLE_REASON];

    snprintf(error, sizeof error, "cannot write to the store %.90s: %s",
             k->heritage->conf->acme.store, store_says(errno));
    k->row.next_try_wall_ms = clock_wall_ms() + KEEPER_RETRY_MS;
    live_complain(k, error);
}

/* All workers get it. It is written down first what is live, so that a successor does not go
 * back; a store that does not take that gets another try. */
static void commit(struct keeper *k, uint64_t now_ms)
{
    struct keeper_next next = k->next;
    const char *odd = *next.info.warning ? next.info.warning : next.warning;

    if (store_set_current(k->store, k->row.name, next.proof.candidate) < 0 &&
        k->row.source != CERT_NONE) {
        store_trouble(k);
        k->next.retry_ms = now_ms + KEEPER_RETRY_MS;
        return;
    }
    k->next = (struct keeper_next){0};
    k->renewed = k->row.source == next.source;
    set_live(k, &next);
    live_publish(k);
    heritage_ring_workers(k->heritage);
    store_prune(k->store, k->row.name);
    live_tell(k);
    keeper_settled(k, next.cause, true, odd);
    live_publish(k);
}

static void drop(struct keeper *k, const char *why)
{
    struct keeper_next next = k->next;
    char text[TABLE_REASON];

    snprintf(text, sizeof text, "generation %u was not taken: %.120s", next.proof.candidate,
             why);
    store_reject(k->store, k->row.name, next.proof.candidate);
    k->next = (struct keeper_next){0};
    k->row.candidate = 0;
    keeper_settled(k, next.cause, false, text);
    live_publish(k);
}

static bool lenient(const struct keeper *k)
{
    return k->next.cause == KEEPER_FILES || k->next.cause == KEEPER_ROLLBACK;
}

static void ask(struct keeper *k)
{
    const struct proof *proof = &k->next.proof;

    k->row.candidate = proof->candidate;
    k->row.prover = (uint16_t)proof->row;
    live_publish(k);
    fd_ring(k->heritage->doorbell[proof->row]);
}

static void judge(struct keeper *k, const struct cert_finding *finding, uint64_t now_ms)
{
    proof_text(finding, k->conf, k->next.warning);
    if (proof_takes(finding, lenient(k)))
        commit(k, now_ms);
    else if (proof_doubt(&k->next.proof, k->heritage, now_ms))
        ask(k);
    else
        drop(k, k->next.warning);
}

bool live_waits(const struct keeper *k)
{
    return k->next.proof.candidate != 0;
}

void live_look(struct keeper *k, uint64_t now_ms)
{
    struct keeper_next *next = &k->next;
    struct cert_finding finding;

    k->due_ms = now_ms + LIVE_LOOK_MS;
    if (next->retry_ms) {
        if (now_ms >= next->retry_ms)
            commit(k, now_ms);
        return;
    }
    switch (proof_look(&next->proof, k->heritage, k->conf->index, now_ms, &finding)) {
    case PROOF_WAITS:
        return;
    case PROOF_ASKS:
        ask(k);
        return;
    case PROOF_DONE:
        judge(k, &finding, now_ms);
        return;
    case PROOF_DIES:
        drop(k, "workers that tried it died");
        return;
    case PROOF_NONE: /* workers are still starting: what is live goes on until one runs */
        return;
    }
}

bool live_offer(struct keeper *k, const struct pem_pair *pair, enum cert_source source,
                const struct pem_info *info, enum keeper_cause cause)
{
    uint64_t now_ms = clock_mono_ms();
    uint32_t above = k->highest > k->row.generation ? k->highest : k->row.generation;
    uint32_t generation = 0;

    if (store_open(k->store, k->heritage->conf->acme.store) == 0)
        generation = store_write(k->store, k->row.name, above, pair, source);
    if (generation == 0) {
        store_trouble(k);
        return false;
    }
    k->highest = generation;
    describe(&k->next, generation, source, pair, info);
    k->next.cause = cause;
    if (k->row.source == CERT_NONE || !proof_needed(k->heritage))
        commit(k, now_ms);
    else
        live_look(k, now_ms);
    return true;
}
