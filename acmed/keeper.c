#include "acmed/keeper.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acmed/pem_ari.h"
#include "acmed/policy.h"
#include "acmed/selfsigned.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

static const uint64_t day_ms = UINT64_C(24) * 3600 * 1000;

static void publish(struct keeper *k)
{
    cert_publish(&k->heritage->table->cert[k->conf->index], &k->row);
}

/* Says what is wrong, once per change; "" when nothing is any more. */
static void complain(struct keeper *k, const char *error)
{
    if (strncmp(k->row.error, error, sizeof k->row.error) == 0)
        return;
    snprintf(k->row.error, sizeof k->row.error, "%s", error);
    if (error[0] != '\0')
        log_warn("certificate %s: %s", k->conf->name, error);
    publish(k);
}

/* ---- going live */

static bool has_live(const struct keeper *k)
{
    return k->row.source != CERT_NONE;
}

static uint64_t renewal_wall_ms(const struct keeper *k)
{
    return k->row.not_after_wall_ms - SELFSIGNED_RENEW_DAYS * day_ms;
}

static void set_live(struct keeper *k, uint32_t generation, enum cert_source source,
                     const struct pem_pair *pair, const struct pem_info *info)
{
    k->row.source = (uint8_t)source;
    k->row.generation = generation;
    k->row.candidate = 0;
    k->row.not_before_wall_ms = info->not_before_wall_ms;
    k->row.not_after_wall_ms = info->not_after_wall_ms;
    k->row.next_try_wall_ms = source == CERT_SELF_SIGNED ? renewal_wall_ms(k) : 0;
    snprintf(k->row.issuer, sizeof k->row.issuer, "%s", info->issuer);
    pem_digest(pair, k->digest);
    k->covers = info->covers;
    k->ari_id[0] = '\0';
    if (source == CERT_ACME)
        pem_ari(k->ari_id, str_make(pair->chain, pair->n_chain));
    k->settled = true;
}

static void tell_live(const struct keeper *k)
{
    time_t until = (time_t)(k->row.not_after_wall_ms / 1000);
    char day[sizeof "2026-11-22"] = "?";
    struct tm tm;

    if (gmtime_r(&until, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    log_info("certificate %s: generation %u live, until %s, issuer %s", k->conf->name,
             k->row.generation, day, k->row.issuer);
}

/* Writes a good pair to the store and makes it live in every worker. */
static bool go_live(struct keeper *k, const struct pem_pair *pair, enum cert_source source,
                    const struct pem_info *info)
{
    char error[TABLE_REASON];
    uint32_t generation = 0;

    if (k->store->certs_fd >= 0 || store_open(k->store, k->heritage->conf->acme.store) == 0)
        generation = store_write(k->store, k->row.name, k->row.generation, pair, source);
    if (generation == 0) {
        snprintf(error, sizeof error, "cannot write to the store %.90s: %s",
                 k->heritage->conf->acme.store, store_says(errno));
        k->row.next_try_wall_ms = clock_wall_ms() + KEEPER_RETRY_MS;
        complain(k, error);
        return false;
    }
    set_live(k, generation, source, pair, info);
    publish(k);
    heritage_ring_workers(k->heritage);
    store_prune(k->store, k->row.name);
    tell_live(k);
    return true;
}

/* false: not now; the row tells why. */
static bool make_selfsigned(struct keeper *k)
{
    struct pem_pair pair;
    struct pem_info info;
    char error[TABLE_REASON];
    uint64_t now_wall_ms = clock_wall_ms();
    bool live = false;

    if (selfsigned_make(k->conf->names, k->conf->n_names, now_wall_ms, &pair, error) < 0 ||
        pem_check(&pair, k->conf->names, k->conf->n_names, now_wall_ms, &info, error) < 0)
        complain(k, error);
    else
        live = go_live(k, &pair, CERT_SELF_SIGNED, &info);
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
        set_live(k, generation, source, &pair, &info);
    pem_pair_release(&pair);
    return good;
}

static void look_into_store(struct keeper *k)
{
    uint32_t generations[STORE_KEEP];
    int n =
        k->store->certs_fd < 0 ? 0 : store_list(k->store, k->row.name, generations, STORE_KEEP);

    for (int i = 0; i < n; i++)
        if (take_over(k, generations[i]))
            return;
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
    publish(k);
    same = before && before->generation == k->row.generation;
    if (k->settled && !same) {
        heritage_ring_workers(heritage);
        tell_live(k);
    }
    /* What stands in the store may still be another than what the files hold. */
    if (conf->source == CONF_CERT_FILES)
        k->settled = false;
}

void keeper_release(struct keeper *k)
{
    import_release(&k->import);
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
        complain(k, error);
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
    if ((k->row.source != CERT_FILE || memcmp(digest, k->digest, sizeof digest) != 0) &&
        !go_live(k, pair, CERT_FILE, &info)) {
        import_forget(&k->import); /* so that the next round reads them again */
        return false;
    }
    complain(k, info.warning);
    return true;
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

static struct issue_live live_of(const struct keeper *k)
{
    struct issue_live live = {
        .plan = {.generation = k->row.generation,
                 .from_ca = k->row.source == CERT_ACME,
                 .covers = k->covers,
                 .can_ask = k->ari_id[0] != '\0',
                 .life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms}}};

    memcpy(live.ari_id, k->ari_id, sizeof live.ari_id);
    return live;
}

static void call_hook(struct keeper *k, const char *event)
{
    const char *store = k->heritage->conf->acme.store;
    char chain[PATH_MAX], key[PATH_MAX];
    const struct hook_call call = {.program = k->heritage->conf->acme.hook,
                                   .event = event,
                                   .certificate = k->conf->name,
                                   .names = k->conf->names,
                                   .n_names = k->conf->n_names,
                                   .chain = chain,
                                   .key = key,
                                   .error = k->issue.state.problem};

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, k->row.name,
             k->row.generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, k->row.name, k->row.generation);
    if (hook_start(&k->hook, &call, clock_mono_ms()) < 0)
        log_warn("certificate %s: hook %s: %s", k->conf->name, call.program, strerror(errno));
}

/* One at a time; of several that wait, the latest is told. */
static void look_at_hook(struct keeper *k, uint64_t now_ms)
{
    const char *event = k->event;

    switch (hook_poll(&k->hook, now_ms)) {
    case HOOK_RUNS:
        return;
    case HOOK_BAD:
        log_warn("certificate %s: the hook failed", k->conf->name);
        break;
    default:
        break;
    }
    k->event = NULL;
    if (event && k->heritage->conf->acme.hook[0] != '\0')
        call_hook(k, event);
}

/* "expiring" is worse than "failed": less than half of the time for renewals is left. */
static void tell_trouble(struct keeper *k)
{
    const struct renew_life life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms};
    uint64_t now = clock_wall_ms(), since = now - k->issue.state.hook_at;
    uint64_t backstop = renew_backstop(&life);

    if (since < HOOK_ERRORS_MS)
        return;
    k->issue.state.hook_at = now; /* kept with the next change of the state */
    k->event = k->row.source == CERT_ACME && now > backstop &&
                       now - backstop > (life.not_after - backstop) / 2
                   ? "expiring"
                   : "failed";
}

/* What came from the CA: the last check, by what a worker would do, and then it is live. */
static void take_certificate(struct keeper *k, const struct issue_live *live,
                             const struct pem_pair *pair)
{
    const char *event = k->row.source == CERT_ACME ? "renewed" : "issued";
    struct pem_info info;
    char error[TABLE_REASON];

    if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0) {
        issue_settle(&k->issue, live, error);
        tell_trouble(k);
    } else if (!go_live(k, pair, CERT_ACME, &info)) {
        issue_settle(&k->issue, live, k->row.error);
        tell_trouble(k);
    } else {
        issue_settle(&k->issue, live, NULL);
        k->event = event;
    }
}

static void show_issue(struct keeper *k)
{
    const struct issue_live live = live_of(k);
    const struct issue *is = &k->issue;
    struct cert_row before = k->row;
    uint64_t at = plan_order_at(&is->state, &live.plan), now = clock_wall_ms();

    k->row.busy = is->wanted || (is->run && is->kind == JOB_ISSUE);
    k->row.failures = is->state.failures;
    k->row.next_try_wall_ms = at > now ? at : now / 1000 * 1000;
    if (has_live(k) && strncmp(k->row.error, is->state.problem, sizeof k->row.error) != 0)
        snprintf(k->row.error, sizeof k->row.error, "%s", is->state.problem);
    if (memcmp(&before, &k->row, sizeof before) != 0)
        publish(k);
}

static void tick_issue(struct keeper *k, uint64_t now_ms)
{
    const struct issue_live live = live_of(k);
    struct pem_pair pair = {0};

    switch (issue_tick(&k->issue, &live, now_ms, &pair)) {
    case ISSUE_CAME:
        take_certificate(k, &live, &pair);
        pem_pair_release(&pair);
        break;
    case ISSUE_FAILED:
        tell_trouble(k);
        break;
    case ISSUE_NOTHING:
    case ISSUE_CHANGED:
        break;
    }
    show_issue(k);
    look_at_hook(k, now_ms);
}

/* ---- the operator */

static bool older_good(struct keeper *k, uint32_t generation)
{
    enum cert_source source = CERT_NONE;
    struct pem_pair pair;
    struct pem_info info;
    uint8_t digest[PEM_DIGEST];
    char error[TABLE_REASON];
    bool live = false;

    if (store_read(k->store, k->row.name, generation, &pair, &source) < 0)
        return false;
    pem_digest(&pair, digest);
    if (memcmp(digest, k->digest, sizeof digest) != 0 && /* after two rollbacks */
        pem_check(&pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) ==
            0 &&
        clock_wall_ms() < info.not_after_wall_ms)
        live = go_live(k, &pair, source, &info);
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
        if (generations[i] < k->row.generation && older_good(k, generations[i])) {
            issue_hold(&k->issue);
            return NULL;
        }
    return "there is no older generation that is still good";
}

void keeper_request(struct keeper *k, enum cert_request request, uint64_t now_ms)
{
    const struct issue_live live = live_of(k);
    const char *why = request == CERT_ROLLBACK
                          ? roll_back(k)
                          : issue_want(&k->issue, &live, request == CERT_RENEW_FORCE);

    snprintf(k->row.answer, sizeof k->row.answer, "%s", why ? why : "");
    if (!why && request != CERT_ROLLBACK)
        tick_issue(k, now_ms); /* it is under way, or known why not, before that is said */
    k->row.requests++;
    publish(k);
}

void keeper_tick(struct keeper *k, uint64_t now_ms)
{
    bool old = k->row.source == CERT_SELF_SIGNED && clock_wall_ms() >= renewal_wall_ms(k);

    if (k->issue.issuer && has_live(k))
        tick_issue(k, now_ms);
    if (now_ms < k->due_ms)
        return;
    if (k->conf->source == CONF_CERT_FILES) {
        if (old)
            make_selfsigned(k);
        tick_files(k, now_ms);
        return;
    }
    k->due_ms = now_ms + KEEPER_RENEWAL_MS;
    if (has_live(k) && !old)
        return;
    if (make_selfsigned(k))
        complain(k, k->issue.state.problem);
    else
        k->due_ms = now_ms + KEEPER_RETRY_MS;
}
