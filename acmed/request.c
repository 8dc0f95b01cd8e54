#include "acmed/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/live.h"
#include "acmed/order_store.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

/* The CA that is ordered from, and whose account the operator means. */
static struct ca *account_ca(const struct keeper *k)
{
    return &k->issue.issuer->ca[LADDER_FIRST];
}

/* ---- back to an older one */

static bool older_good(struct keeper *k, uint32_t generation)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;
    struct pem_info info;
    uint8_t digest[PEM_DIGEST];
    char error[TABLE_REASON];
    bool live = false;

    if (store_revoked(k->store, k->row.name, generation) ||
        store_read(k->store, k->row.name, generation, &pair, &source) < 0)
        return false;
    pem_digest(&pair, digest);
    if (memcmp(digest, k->digest, sizeof digest) != 0 && /* after two rollbacks */
        pem_check(&pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) ==
            0 &&
        clock_wall_ms() < info.not_after_wall_ms)
        live = live_offer(k, &pair, source, &info, KEEPER_ROLLBACK);
    pem_pair_release(&pair);
    return live;
}

/* The last one before the live one that is still good, as a generation of its own: the newest
 * number is what is live. NULL, or why not. */
static const char *roll_back(struct keeper *k)
{
    uint32_t generations[STORE_KEEP];
    int n = store_list(k->store, k->row.name, generations, STORE_KEEP);

    for (int i = 0; i < n; i++)
        if (generations[i] < k->row.generation && older_good(k, generations[i]))
            return NULL;
    return "there is no older generation that is still good";
}

/* ---- by the CA */

static const char *revoke(struct keeper *k, unsigned reason)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;

    if (k->row.source != CERT_ACME)
        return k->row.source == CERT_FILE ? "it is of files: whoever signed it can revoke it"
                                          : "it is self-signed: nobody can revoke it";
    if (!k->issue.issuer)
        return "it is not ordered from a CA now, so there is nobody to ask";
    if (k->revoked)
        return "it is revoked already: another one is ordered";
    if (issue_live_ca(&k->issue) < 0)
        return "it is of a CA that is not configured now, so there is nobody to ask";
    if (store_read(k->store, k->row.name, k->row.generation, &pair, &source) < 0)
        return "its files cannot be read";
    return errand_revoke(&k->errand, k->issue.issuer,
                         &k->issue.issuer->ca[issue_live_ca(&k->issue)], &pair,
                         k->row.generation, reason);
}

/* It is remembered on disk, so that a successor replaces it as well. */
static void is_revoked(struct keeper *k, uint32_t generation)
{
    const struct issue_live live = keeper_live(k);

    if (store_mark_revoked(k->store, k->row.name, generation) < 0)
        log_warn("certificate %s: cannot write down that it is revoked: %s", k->conf->name,
                 strerror(errno));
    log_info("certificate %s: generation %u is revoked", k->conf->name, generation);
    if (generation != k->row.generation)
        return;
    k->revoked = true;
    if (!k->issue.run)
        order_forget(k->issue.folder); /* a key of before is not used again */
    issue_want(&k->issue, &live, true);
}

bool request_settled(struct keeper *k, uint64_t now_ms)
{
    return !errand_unsettled(&k->errand, k->issue.issuer, account_ca(k), now_ms);
}

/* ---- all of them */

static const char *about_account(struct keeper *k, enum cert_request request)
{
    return request == CERT_ROLLOVER
               ? errand_rollover(&k->errand, k->issue.issuer, account_ca(k))
               : errand_close(&k->errand, k->issue.issuer, account_ca(k));
}

/* Begins, or waits for other conversations to end: the key must not change under them. */
static const char *queue(struct keeper *k, enum cert_request request, uint64_t now_ms)
{
    const char *why;

    if (!k->issue.issuer)
        return "it is not ordered from a CA";
    why = about_account(k, request);
    if (why != errand_busy)
        return why;
    k->queued = request;
    k->queued_until_ms = now_ms + ERRAND_WAIT_MS;
    return NULL;
}

static void look_at_queue(struct keeper *k, uint64_t now_ms)
{
    const char *why = about_account(k, k->queued);

    if (why == errand_busy && now_ms < k->queued_until_ms)
        return;
    k->queued = 0;
    if (!why)
        return;
    snprintf(k->row.answer, sizeof k->row.answer, "%s", why);
    k->row.busy = 0;
    live_publish(k);
}

void request_tick(struct keeper *k, uint64_t now_ms)
{
    char error[TABLE_REASON] = "";
    enum errand_news news;

    if (k->queued)
        look_at_queue(k, now_ms);
    news = errand_tick(&k->errand, error);
    if (news == ERRAND_NOTHING)
        return;
    if (news == ERRAND_FAILED) {
        log_warn("certificate %s: %s", k->conf->name, error);
        if (!k->errand.settles)
            snprintf(k->row.answer, sizeof k->row.answer, "%s", error);
    } else if (k->errand.kind == JOB_REVOKE) {
        is_revoked(k, k->errand.generation);
    }
    errand_release(&k->errand);
    k->row.busy = k->issue.wanted;
    live_publish(k);
}

static const char *carry_out(struct keeper *k, enum cert_request request, unsigned reason,
                             uint64_t now_ms)
{
    const struct issue_live live = keeper_live(k);

    if (!k->store->ours)
        return k->store->certs_fd < 0 ? "the store cannot be opened; see status"
                                      : "another pasgate uses the store";
    if (live_waits(k))
        return "a new generation is just being proved: ask again";
    if (request_busy(k))
        return errand_busy;
    switch (request) {
    case CERT_RENEW:
    case CERT_RENEW_FORCE:
        return issue_want(&k->issue, &live, request == CERT_RENEW_FORCE);
    case CERT_ROLLBACK:
        return roll_back(k);
    case CERT_REVOKE:
        return revoke(k, reason);
    case CERT_ROLLOVER:
    case CERT_DEACTIVATE:
        return queue(k, request, now_ms);
    }
    return "no such request";
}

void keeper_request(struct keeper *k, enum cert_request request, unsigned reason,
                    uint64_t now_ms)
{
    const char *why = carry_out(k, request, reason, now_ms);

    snprintf(k->row.answer, sizeof k->row.answer, "%s", why ? why : "");
    if (!why && (request == CERT_RENEW || request == CERT_RENEW_FORCE))
        keeper_tick_issue(k, now_ms); /* under way, or known why not, before that is said */
    k->row.busy |= request_busy(k);
    k->row.requests++;
    live_publish(k);
}
