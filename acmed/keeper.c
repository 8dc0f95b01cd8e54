#include "acmed/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/live.h"
#include "acmed/notice.h"
#include "acmed/order_store.h"
#include "acmed/policy.h"
#include "acmed/request.h"
#include "acmed/selfsigned.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

static bool has_live(const struct keeper *k)
{
    return k->row.source != CERT_NONE;
}

/* false: not now; the row tells why. */
static bool make_selfsigned(struct keeper *k)
{
    struct pem_pair pair;
    struct pem_info info;
    char error[TABLE_REASON];
    uint64_t now_wall_ms = clock_wall_ms();
    bool live = false;

    if (clock_mono_ms() < k->self_ms)
        return has_live(k);
    if (selfsigned_make(k->conf->names, k->conf->n_names, now_wall_ms, &pair, error) < 0 ||
        pem_check(&pair, k->conf->names, k->conf->n_names, now_wall_ms, &info, error) < 0)
        live_complain(k, error);
    else
        live = live_offer(k, &pair, CERT_SELF_SIGNED, &info, KEEPER_SELF);
    k->settled = true; /* the service starts without, if need be */
    pem_pair_release(&pair);
    return live;
}

/* ---- taking over what the store holds */

static bool still_good(const struct keeper *k, enum cert_source source,
                       const struct pem_info *info)
{
    bool current = info->covers && clock_wall_ms() < info->not_after_wall_ms;
    bool ours = source == CERT_SELF_SIGNED && current && info->n_names == k->conf->n_names;

    switch (k->conf->source) {
    case CONF_CERT_FILES: /* the first round will tell whether the files say the same */
        return source == CERT_FILE || current;
    case CONF_CERT_SELF:
        return ours;
    default: /* one of the CA is better than ours, also while it lacks a new name */
        return ours || (source == CERT_ACME && clock_wall_ms() < info->not_after_wall_ms) ||
               (source == CERT_FILE && current);
    }
}

static bool take_over(struct keeper *k, uint32_t generation)
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
        good = still_good(k, source, &info);
    if (good)
        live_take(k, generation, source, &pair, &info);
    pem_pair_release(&pair);
    return good;
}

/* What was live comes first: what is newer than that was not proved. */
static void look_into_store(struct keeper *k)
{
    uint32_t generations[STORE_KEEP], current = 0;
    int n = 0;

    if (k->store->certs_fd >= 0) {
        current = store_current(k->store, k->row.name);
        n = store_list(k->store, k->row.name, generations, STORE_KEEP);
    }
    if (current && take_over(k, current))
        return;
    for (int i = 0; i < n; i++)
        if (generations[i] != current && take_over(k, generations[i])) {
            store_set_current(k->store, k->row.name, generations[i]); /* another time, if not */
            return;
        }
}

/* Whether it is ordered; if not, it is said why when somebody may have expected it. */
static struct issuer *who_orders(const struct keeper *k, struct issuer *issuer)
{
    bool meant;
    const char *why = policy_refuses(k->heritage->conf, k->conf, &meant);

    if (!why)
        return issuer;
    if (meant)
        log_warn("certificate %s: %s", k->conf->name, why);
    else if (k->conf->source == CONF_CERT_ACME)
        log_info("certificate %s: %s", k->conf->name, why);
    return NULL;
}

void keeper_init(struct keeper *k, const struct heritage *heritage, struct store *store,
                 struct issuer *issuer, const struct conf_cert *conf,
                 const struct cert_row *before, uint64_t now_ms)
{
    bool same;

    *k = (struct keeper){.heritage = heritage, .conf = conf, .store = store, .due_ms = now_ms};
    import_init(&k->import, conf);
    cert_folder(k->row.name, conf->name);
    if (before) {
        k->row.generation = before->generation; /* numbers never come back */
        k->row.requests = before->requests;
    }
    issue_init(&k->issue, who_orders(k, issuer), conf, k->row.name, now_ms);
    look_into_store(k);
    if (!k->settled && before && store->certs_fd < 0)
        k->row = *before; /* the store is out of reach: they go on with what they have */
    k->row.busy = 0;
    k->row.candidate = 0;
    live_publish(k);
    same = before && before->generation == k->row.generation;
    if (k->settled && !same) {
        heritage_ring_workers(heritage);
        live_tell(k);
    }
    /* What stands in the store may still be another than what the files hold. */
    if (conf->source == CONF_CERT_FILES)
        k->settled = false;
}

void keeper_store(struct keeper *k, const char *trouble, uint64_t now_ms)
{
    uint32_t before = k->row.generation;
    struct issuer *issuer = k->issue.issuer;

    if (!trouble) {
        issue_release(&k->issue);
        issue_init(&k->issue, issuer, k->conf, k->row.name, now_ms);
        look_into_store(k);
        k->due_ms = now_ms;
    } else if (k->store->certs_fd >= 0 && store_current(k->store, k->row.name) != before) {
        look_into_store(k);
    }
    if (k->row.generation != before) {
        live_publish(k);
        heritage_ring_workers(k->heritage);
        live_tell(k);
    }
    live_complain(k, trouble ? trouble : "");
}

void keeper_release(struct keeper *k)
{
    import_release(&k->import);
    errand_release(&k->errand);
    issue_release(&k->issue);
    hook_release(&k->hook);
}

/* ---- the files */

/* There is nothing to import, for this reason. A bad pair may be one of which only one half
 * has been replaced yet: it is complained of when the next round finds it bad too, unless
 * there is nothing to go on with. false: the store is in trouble. */
static bool bad_files(struct keeper *k, const char *error)
{
    bool stored = has_live(k) || make_selfsigned(k);

    import_forget(&k->import);
    if (stored && (k->complained || !k->settled || k->row.source == CERT_SELF_SIGNED))
        live_complain(k, error);
    k->complained = true;
    return stored;
}

static bool new_pair(struct keeper *k, const struct pem_pair *pair)
{
    struct pem_info info;
    char error[TABLE_REASON];
    uint8_t digest[PEM_DIGEST];

    if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0)
        return bad_files(k, error);
    k->complained = false;
    pem_digest(pair, digest);
    if (k->row.source == CERT_FILE && memcmp(digest, k->digest, sizeof digest) == 0) {
        live_complain(k, info.warning);
        return true;
    }
    if (!live_waits(k) && live_offer(k, pair, CERT_FILE, &info, KEEPER_FILES))
        return true;
    import_forget(&k->import); /* so that the next round reads them again */
    return live_waits(k);
}

void keeper_answer(struct keeper *k, const struct message *answer, int *fd, uint64_t now_ms)
{
    struct pem_pair pair;
    char error[TABLE_REASON];
    bool stored = true;

    if (k->conf->source != CONF_CERT_FILES ||
        !import_answer(&k->import, k->heritage->control_fd, answer, fd))
        return;
    switch (import_finish(&k->import, &pair, error)) {
    case IMPORT_PAIR:
        stored = new_pair(k, &pair);
        break;
    case IMPORT_ERROR:
        stored = bad_files(k, error);
        break;
    case IMPORT_SAME:
        break;
    }
    pem_pair_release(&pair);
    k->settled = true;
    k->due_ms = now_ms + (stored ? KEEPER_POLL_MS : KEEPER_RETRY_MS);
}

/* Starts a round, after having given up one that got no answer. */
static void tick_files(struct keeper *k, uint64_t now_ms)
{
    if (k->import.waiting_for >= 0) {
        k->complained = true; /* the service must start nevertheless */
        bad_files(k, "the supervisor does not open the files");
        k->settled = true;
    }
    k->due_ms = now_ms + KEEPER_ANSWER_MS;
    if (import_ask(&k->import, k->heritage->control_fd) < 0)
        k->due_ms = now_ms + KEEPER_AGAIN_MS;
}

/* ---- the CA */

struct issue_live keeper_live(const struct keeper *k)
{
    struct issue_live live = {
        .plan = {.generation = k->row.generation,
                 .from_ca = k->row.source == CERT_ACME,
                 .covers = k->covers && !k->revoked,
                 .can_ask = k->ari_id[0] != '\0',
                 .life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms}}};

    memcpy(live.ari_id, k->ari_id, sizeof live.ari_id);
    return live;
}

/* What came from the CA: the last check, by what a worker would do, and then it is proved. */
static void take_certificate(struct keeper *k, const struct issue_live *live,
                             const struct pem_pair *pair)
{
    struct pem_info info;
    char error[TABLE_REASON];
    uint8_t digest[PEM_DIGEST];

    pem_digest(pair, digest);
    if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0) {
        issue_settle(&k->issue, live, error);
        notice_trouble(k);
    } else if (k->row.source == CERT_ACME && memcmp(digest, k->digest, sizeof digest) == 0) {
        issue_settle(&k->issue, live, NULL); /* a predecessor got as far as that */
    } else if (!live_offer(k, pair, CERT_ACME, &info, KEEPER_CA)) {
        issue_settle(&k->issue, live, k->row.error);
        notice_trouble(k);
    }
}

/* ---- what became of an offer */

static void settled_files(struct keeper *k, bool lives, const char *text)
{
    if (!lives)
        notice_trouble(k);
    else if (k->renewed)
        k->event = "renewed";
    live_complain(k, text);
}

static void settled_ca(struct keeper *k, bool lives, const char *text)
{
    const struct issue_live live = keeper_live(k);

    if (!lives)
        order_forget(k->issue.folder); /* else the same one would come again, for ever */
    issue_settle(&k->issue, &live, lives ? NULL : text);
    if (lives)
        k->event = k->renewed ? "renewed" : "issued";
    else
        notice_trouble(k);
    if (lives && *text)
        log_warn("certificate %s: %s", k->conf->name, text);
}

void keeper_settled(struct keeper *k, enum keeper_cause cause, bool lives, const char *text)
{
    switch (cause) {
    case KEEPER_SELF:
        if (lives)
            break;
        k->self_ms = clock_mono_ms() + KEEPER_RENEWAL_MS;
        live_complain(k, text);
        break;
    case KEEPER_FILES:
        settled_files(k, lives, text);
        break;
    case KEEPER_CA:
        settled_ca(k, lives, text);
        break;
    case KEEPER_ROLLBACK:
        if (lives)
            issue_hold(&k->issue);
        else
            snprintf(k->row.answer, sizeof k->row.answer, "%s", text);
        break;
    }
    k->due_ms = 0;
}

static void show_issue(struct keeper *k)
{
    const struct issue_live live = keeper_live(k);
    const struct issue *is = &k->issue;
    const char *error = is->state.problem[0] || !k->revoked
                            ? is->state.problem
                            : "it is revoked: another one is ordered";
    struct cert_row before = k->row;
    uint64_t at = plan_order_at(&is->state, &live.plan), now = clock_wall_ms();

    k->row.busy = issue_busy(is) || request_busy(k);
    memcpy(k->row.doing, is->doing, sizeof k->row.doing);
    memcpy(k->row.note, is->note, sizeof k->row.note);
    k->row.failures = is->state.failures;
    k->row.next_try_wall_ms = at > now ? at : now / 1000 * 1000;
    if (has_live(k) && strncmp(k->row.error, error, sizeof k->row.error) != 0)
        snprintf(k->row.error, sizeof k->row.error, "%s", error);
    if (memcmp(&before, &k->row, sizeof before) != 0)
        live_publish(k);
}

void keeper_tick_issue(struct keeper *k, uint64_t now_ms)
{
    const struct issue_live live = keeper_live(k);
    struct pem_pair pair = {0};

    switch (issue_tick(&k->issue, &live, now_ms, &pair)) {
    case ISSUE_CAME:
        take_certificate(k, &live, &pair);
        pem_pair_release(&pair);
        break;
    case ISSUE_FAILED:
        notice_trouble(k);
        break;
    case ISSUE_NOTHING:
    case ISSUE_CHANGED:
        break;
    }
    show_issue(k);
}

/* ---- all of it */

void keeper_tick(struct keeper *k, uint64_t now_ms)
{
    bool old = k->row.source == CERT_SELF_SIGNED &&
               clock_wall_ms() >= selfsigned_renewal(k->row.not_after_wall_ms);

    notice_look(k, now_ms);
    request_tick(k, now_ms);
    if (live_waits(k)) {
        live_look(k, now_ms);
        return;
    }
    if (k->issue.issuer && has_live(k) && k->store->ours && request_settled(k, now_ms))
        keeper_tick_issue(k, now_ms);
    if (now_ms < k->due_ms || live_waits(k))
        return;
    if (k->conf->source == CONF_CERT_FILES) {
        notice_expiring(k, now_ms);
        if (old)
            make_selfsigned(k);
        tick_files(k, now_ms);
        return;
    }
    k->due_ms = now_ms + KEEPER_RENEWAL_MS;
    if (has_live(k) && !old)
        return;
    if (make_selfsigned(k))
        live_complain(k, k->issue.state.problem);
    else
        k->due_ms = now_ms + KEEPER_RETRY_MS;
}
