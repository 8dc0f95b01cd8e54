#include "acmed/cert/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/cert/deploy.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/row.h"
#include "acmed/order/policy.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

/* The CA to order from, whose account the operator's request is about. */
static struct ca *account_ca(const struct certificate *k)
{
    return &k->issue.ca_set->ca[FALLBACK_FIRST];
}

/* ---- rollback */

enum { LOOKS = 16 }; /* generations; normally there are 3 */

/* One rollback. The live generation is a copy of `origin` (or is `origin`); the generations
 * between the two were rolled back from. */
struct rollback {
    struct certificate *k;
    uint32_t origin;
    uint8_t left[LOOKS][PEM_DIGEST]; /* pairs that were rolled back from */
    int n_left;
    bool unread;   /* some could not be read, so that they may be good */
    bool no_store; /* the copy could not be written: that of another pair cannot be either */
};

/* Why this pair must not be rolled back to; NULL: it is good. */
static const char *unfit(const struct certificate *k, uint32_t generation,
                         const struct pem_pair *pair, enum cert_source source,
                         struct pem_info *info)
{
    static char error[TABLE_REASON];
    char why[TABLE_NOTE];
    uint64_t now = clock_wall_ms();

    if (!revoked_readable(k->store, why))
        return "may be revoked: the list of revoked certificates cannot be read";
    if (revoked_at(k->store, k->row.name, generation, pair))
        return "is revoked";
    if (pem_check(pair, k->conf->names, k->conf->n_names, now, info, error) < 0)
        return error;
    if (pem_source(source, info) == CERT_SELF_SIGNED)
        return "is self-signed";
    if (now < info->not_before_wall_ms)
        return "is not valid yet";
    if (now >= info->not_after_wall_ms)
        return "has expired";
    return info->covers ? NULL : "does not cover all names";
}

/* NULL: it is neither the live pair nor one that was rolled back from. */
static const char *was_live(struct rollback *r, uint32_t generation,
                            const struct pem_pair *pair)
{
    static const char left[] = "was rolled back from";
    uint8_t digest[PEM_DIGEST];

    pem_digest(pair, digest);
    if (memcmp(digest, r->k->digest, sizeof digest) == 0)
        return "is the same as the live one";
    for (int i = 0; i < r->n_left; i++)
        if (memcmp(digest, r->left[i], sizeof digest) == 0)
            return left;
    if (generation < r->origin)
        return NULL;
    memcpy(r->left[r->n_left++], digest, sizeof digest);
    return left;
}

static const char *cannot_be_read(struct rollback *r, int error)
{
    static char text[TABLE_REASON];

    r->unread = true;
    snprintf(text, sizeof text, "cannot be read: %s", strerror(error));
    return text;
}

/* NULL: it was offered for deployment; else why not. */
static const char *go_back_to(struct rollback *r, uint32_t generation)
{
    struct certificate *k = r->k;
    enum cert_source source = CERT_NONE;
    struct pem_pair pair = {0};
    struct pem_info info;
    const char *why;

    if (store_read(k->store, k->row.name, generation, &pair, &source) < 0)
        return store_unreadable(errno) ? cannot_be_read(r, errno) : strerror(errno);
    why = was_live(r, generation, &pair);
    if (!why)
        why = unfit(k, generation, &pair, source, &info);
    if (!why && !deploy_offer_again(k, &pair, pem_source(source, &info), &info, generation)) {
        why = k->row.error;
        r->no_store = true;
    }
    pem_pair_release(&pair);
    return why;
}

/* Offers the newest older pair that a CA signed (or that was configured), that is valid now and
 * was not rolled back from, as a new generation: the highest number must be the live one. NULL,
 * or why not. */
static const char *roll_back(struct certificate *k)
{
    static char text[TABLE_ERROR];
    char found[TABLE_ERROR - 2 * TABLE_REASON];
    struct rollback r = {.k = k,
                         .origin = store_origin(k->store, k->row.name, k->row.generation)};
    uint32_t generations[LOOKS];
    int n = store_list(k->store, k->row.name, generations, LOOKS);
    const char *why;
    size_t at = 0;

    if (n < 0)
        return "its directory in the store cannot be read";
    found[0] = '\0';
    for (int i = 0; i < n; i++) {
        if (generations[i] >= k->row.generation)
            continue;
        why = go_back_to(&r, generations[i]);
        if (!why || r.no_store)
            return why;
        if (at + TABLE_REASON + 16 < sizeof found) /* always, in practice */
            at += (size_t)snprintf(found + at, sizeof found - at, "%s%u %.150s", at ? ", " : "",
                                   generations[i], why);
    }
    at = (size_t)snprintf(
        text, sizeof text, "there is no older generation that %sis still good%s%s%s",
        r.unread ? "can be read and " : "", at ? " (" : "", found, at ? ")" : "");
    if (k->conf->source == CONF_CERT_FILES)
        snprintf(text + at, sizeof text - at, "; replace the configured files");
    else if (k->conf->source == CONF_CERT_ACME && k->issue.ca_set)
        snprintf(text + at, sizeof text - at,
                 "; get a new one with `pasgate cert renew %s --force`", k->conf->name);
    return text;
}

/* ---- revocation */

static const char *revoke(struct certificate *k, unsigned reason)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;

    if (k->row.source != CERT_ACME)
        return k->row.source == CERT_FILE
                   ? "it comes from files: only the CA that signed it can revoke it"
                   : "it is self-signed and cannot be revoked";
    if (!k->issue.ca_set)
        return "it is not ordered from a CA now, so there is no CA to ask";
    if (k->row.revoked_wall_ms)
        return "it is already revoked: a new one is ordered";
    if (issue_live_ca(&k->issue) < 0)
        return "it is from a CA that is not configured now";
    if (store_read(k->store, k->row.name, k->row.generation, &pair, &source) < 0)
        return "its files cannot be read";
    return account_op_revoke(&k->op, k->issue.ca_set,
                             &k->issue.ca_set->ca[issue_live_ca(&k->issue)], &pair,
                             k->row.generation, reason);
}

/* The live one was revoked: another one is ordered, also by a successor. reason: for the mark
 * and the list. */
static void replace_revoked(struct certificate *k, const struct pem_pair *pair,
                            uint64_t wall_ms, unsigned reason)
{
    const struct issue_live live = row_live(k);

    k->row.revoked_wall_ms = wall_ms;
    deploy_note_revoked(k, pair, reason);
    if (k->issue.ca_set) {
        if (!k->issue.run)
            issue_forget_order(&k->issue); /* the previous key is not used again */
        issue_want(&k->issue, &live, true);
    }
    /* After the order is noted on disk: the command that waits for it would be told by a
     * successor that it has ended. */
    row_publish(k);
}

/* It is not live any more, but may be copied, or rolled back to. */
static void note_older(const struct certificate *k, uint32_t generation, uint64_t wall_ms)
{
    if (store_mark_revoked(k->store, k->row.name, generation, k->op.reason) < 0)
        log_warn("certificate %s: cannot mark generation %u as revoked in the store: %s",
                 k->conf->name, generation, store_says(errno));
    if (revoked_add(k->store, &k->op.pair, k->op.reason, wall_ms) < 0)
        log_warn("certificate %s: cannot add generation %u to the list of revoked ones yet: %s",
                 k->conf->name, generation, store_says(errno));
}

/* On disk it is noted first that it must be replaced, and why it was revoked; then that no copy
 * may go live. A successor that finds only the first adds the second (revoked_list_marked()).
 */
static void request_is_revoked(struct certificate *k, uint32_t generation)
{
    uint64_t now = clock_wall_ms();

    log_info("certificate %s: generation %u is revoked", k->conf->name, generation);
    k->row.key_known &= generation != k->row.generation;
    if (generation == k->row.generation)
        replace_revoked(k, &k->op.pair, now, k->op.reason);
    else
        note_older(k, generation, now);
}

/* The CA does not know the certificate that it is to revoke. What was imported may be from
 * another CA; the store does not note which one it is. */
static void tell_issuer(const struct certificate *k, char error[TABLE_ERROR])
{
    char said[TABLE_ERROR], dir[CERT_DIR_SIZE];

    str_copy(said, sizeof said, str_from(error));
    snprintf(
        error, TABLE_ERROR,
        "%.200s; its issuer is %.100s: if it was imported, and another CA signed it, revoke "
        "it there, with fullchain.pem and key.pem of %.180s/certs/%.60s/%u",
        said, k->row.issuer, k->heritage->conf->acme.store, cert_dir(dir, k->row.name),
        k->op.generation);
}

/* Another certificate was revoked because its key is known to others: the live one may have the
 * same key. Or the list was read: the live one may be on it, or be missing there. */
static void look_for_revoked(struct certificate *k)
{
    uint32_t now = revoked_epoch();
    enum cert_source source;
    struct pem_pair pair;
    uint64_t at;

    if (k->revoked_epoch == now || !row_has_live(k) || k->lost || !k->store->ours ||
        store_read(k->store, k->row.name, k->row.generation, &pair, &source) < 0)
        return;
    k->revoked_epoch = now;
    at = revoked_at(k->store, NULL, 0, &pair);
    if (k->row.revoked_wall_ms) {
        deploy_note_revoked(k, &pair, 0);
    } else if (at) {
        k->row.key_known = revoked_by_key(k->store, &pair);
        log_warn("certificate %s: %s; %s", k->conf->name,
                 k->row.key_known ? "its key is compromised: another certificate with this key "
                                    "was revoked (keyCompromise)"
                                  : "it was revoked",
                 k->issue.ca_set                      ? "another one is ordered"
                 : k->conf->source == CONF_CERT_FILES ? "replace key and chain"
                                                      : "it stays live until it is replaced");
        replace_revoked(k, &pair, at, 0);
    }
    pem_pair_release(&pair);
}

bool request_settled(struct certificate *k, uint64_t now_ms)
{
    struct ca_set *ca_set = k->issue.ca_set;

    if (account_op_unsettled(&k->op, ca_set, account_ca(k), now_ms))
        return false;
    account_op_tell_contact(&k->op, ca_set, account_ca(k), now_ms);
    account_op_tell_contact(&k->op, ca_set, &ca_set->ca[FALLBACK_SECOND], now_ms);
    return true;
}

/* ---- all requests */

static const char *about_account(struct certificate *k, enum cert_request request)
{
    return request == CERT_ROLLOVER
               ? account_op_rollover(&k->op, k->issue.ca_set, account_ca(k))
               : account_op_close(&k->op, k->issue.ca_set, account_ca(k));
}

/* Starts, or waits for other conversations to end: the key must not change while they run. */
static const char *queue(struct certificate *k, enum cert_request request, uint64_t now_ms)
{
    const char *why;

    if (!k->issue.ca_set)
        return "it is not ordered from a CA";
    why = about_account(k, request);
    if (!account_op_later(why))
        return why;
    k->queued = request;
    k->queued_until_ms = now_ms + ACCOUNT_OP_WAIT_MS;
    return NULL;
}

static void look_at_queue(struct certificate *k, uint64_t now_ms)
{
    const char *why = about_account(k, k->queued);

    if (account_op_later(why) && now_ms < k->queued_until_ms)
        return;
    k->queued = 0;
    if (!why)
        return;
    snprintf(k->row.reply, sizeof k->row.reply, "%s", why);
    k->row.busy = issue_busy(&k->issue);
    row_publish(k);
}

/* For the log: what was asked for and was not done. */
static const char *what_failed(const struct account_op *op)
{
    if (op->settles || op->tells)
        return "";
    return op->kind == JOB_REVOKE  ? "not revoked: "
           : op->kind == JOB_CLOSE ? "its account is not closed: "
                                   : "its account's key was not changed, as far as is known: ";
}

void request_tick(struct certificate *k, uint64_t now_ms)
{
    char error[TABLE_ERROR] = "";
    enum account_op_news news;

    if (k->queued)
        look_at_queue(k, now_ms);
    look_for_revoked(k);
    deploy_look_at_mark(k, now_ms);
    news = account_op_tick(&k->op, error);
    if (news == ACCOUNT_OP_NOTHING)
        return;
    if (news == ACCOUNT_OP_FAILED) {
        if (k->op.unknown && k->op.generation == k->row.generation)
            tell_issuer(k, error);
        log_warn("certificate %s: %s%s", k->conf->name, what_failed(&k->op), error);
        if (!k->op.settles && !k->op.tells)
            snprintf(k->row.reply, sizeof k->row.reply, "%s", error);
    } else if (k->op.kind == JOB_REVOKE) {
        request_is_revoked(k, k->op.generation);
    }
    account_op_release(&k->op);
    k->row.busy = issue_busy(&k->issue);
    row_publish(k);
}

/* NULL, or why not. */
static const char *renew(struct certificate *k, const struct issue_live *live, bool force)
{
    bool meant;
    const char *why =
        k->issue.ca_set ? NULL : policy_refuses(k->heritage->conf, k->conf, &meant);

    return why ? why : issue_want(&k->issue, live, force);
}

static const char *carry_out(struct certificate *k, enum cert_request request, unsigned reason,
                             uint64_t now_ms)
{
    const struct issue_live live = row_live(k);
    static char why[TABLE_NOTE];

    if (!k->store->ours)
        return k->store->certs_fd < 0 ? "the store cannot be opened; see status"
                                      : "another pasgate uses the store";
    if (*k->unread)
        return k->unread;
    if (!store_usable(k->store->path, NULL, 0, why) ||
        !store_usable(k->store->path, k->row.name, k->row.generation, why) ||
        !revoked_readable(k->store, why)) {
        row_store_unusable(k, why);
        return why;
    }
    if (deploy_waits(k))
        return "a new generation is being tested: try again";
    if (request_busy(k))
        return account_op_busy;
    switch (request) {
    case CERT_RENEW:
    case CERT_RENEW_FORCE:
        return renew(k, &live, request == CERT_RENEW_FORCE);
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

bool request_start(struct certificate *k, enum cert_request request, unsigned reason,
                   uint64_t now_ms)
{
    const char *why;

    if (k->issue.ca_set)
        account_ca(k)->settle_ms = 0; /* the operator may have repaired what was in the way */
    why = carry_out(k, request, reason, now_ms);
    snprintf(k->row.reply, sizeof k->row.reply, "%s", why ? why : "");
    /* While it is unknown which key the account has, nothing may be ordered, and a running
     * conversation would not be served. */
    return !why && (request == CERT_RENEW || request == CERT_RENEW_FORCE) &&
           request_settled(k, now_ms);
}
