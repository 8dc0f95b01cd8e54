#include "acmed/cert/certificate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/cert/deploy.h"
#include "acmed/cert/from_ca.h"
#include "acmed/cert/hook_events.h"
#include "acmed/cert/reply.h"
#include "acmed/cert/request.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/row.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/cert/take_over.h"
#include "acmed/order/issue_dns.h"
#include "acmed/order/policy.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

/* false: not now; the row says why. */
static bool make_selfsigned(struct certificate *k)
{
    struct pem_pair pair;
    struct pem_info info;
    char error[TABLE_REASON];
    uint64_t now_wall_ms = clock_wall_ms();
    bool live = false;

    if (clock_mono_ms() < k->self_ms || *k->unread)
        return row_has_live(k);
    if (selfsigned_make(k->conf->names, k->conf->n_names, now_wall_ms, &pair, error) < 0 ||
        pem_check(&pair, k->conf->names, k->conf->n_names, now_wall_ms, &info, error) < 0)
        row_complain(k, error);
    else
        live = deploy_offer(k, &pair, CERT_SELF_SIGNED, &info, CERTIFICATE_SELF);
    k->settled = true; /* the service starts without one if necessary */
    pem_pair_release(&pair);
    return live;
}

/* ---- outcome of a deployment */

static void settled_files(struct certificate *k, enum certificate_end end, const char *text)
{
    bool lives = end == CERTIFICATE_LIVES;

    if (!lives)
        hook_events_trouble(k);
    if (end == CERTIFICATE_GONE)
        import_forget(&k->import); /* else the unchanged files would not be read again */
    k->files_bad = !lives;         /* that it went live was logged */
    row_complain(k, text);
}

static void outcome_of(struct certificate *k, enum certificate_cause cause,
                       enum certificate_end end, const char *text)
{
    switch (cause) {
    case CERTIFICATE_SELF:
        if (end == CERTIFICATE_LIVES)
            break;
        k->self_ms = clock_mono_ms() + CERTIFICATE_RENEWAL_MS;
        row_complain(k, text);
        break;
    case CERTIFICATE_FILES:
        settled_files(k, end, text);
        break;
    case CERTIFICATE_CA:
        from_ca_settled(k, end, text);
        break;
    case CERTIFICATE_ROLLBACK:
        if (end == CERTIFICATE_LIVES) {
            issue_hold(&k->issue, k->row.not_after_wall_ms);
            row_complain(k, "");
        } else {
            snprintf(k->row.reply, sizeof k->row.reply, "%s", text);
        }
        break;
    }
    k->due_ms = 0;
}

/* ---- start and store */

/* Is it ordered? If not, logs the reason where an operator may have expected it. */
static struct ca_set *who_orders(struct certificate *k, struct ca_set *ca_set)
{
    bool meant;
    const char *why = policy_refuses(k->heritage->conf, k->conf, &meant);

    if (!why)
        return ca_set;
    if (k->conf->source == CONF_CERT_ACME)
        k->not_ordered = why;
    if (meant)
        log_warn("certificate %s: %s", k->conf->name, why);
    else if (k->conf->source == CONF_CERT_ACME)
        log_info("certificate %s: %s", k->conf->name, why);
    return NULL;
}

/* Names of this machine that are ordered nowhere get a self-signed one, and need no other. */
static uint8_t wanted_source(const struct certificate *k)
{
    if (k->conf->source == CONF_CERT_FILES)
        return CERT_FILE;
    return k->conf->source == CONF_CERT_ACME && (k->issue.ca_set || !policy_here(k->conf))
               ? CERT_ACME
               : CERT_SELF_SIGNED;
}

void certificate_init(struct certificate *k, const struct heritage *heritage,
                      struct store *store, struct ca_set *ca_set, const struct conf_cert *conf,
                      const struct cert_row *before, uint64_t now_ms)
{
    bool same;

    *k = (struct certificate){.heritage = heritage,
                              .conf = conf,
                              .store = store,
                              .outcome = outcome_of,
                              .due_ms = now_ms};
    import_init(&k->import, conf);
    cert_dir(k->row.name, conf->name);
    if (before) {
        k->row.generation = before->generation; /* numbers are never reused */
        k->row.requests = before->requests;
        memcpy(k->row.replies, before->replies, sizeof k->row.replies);
    }
    issue_init(&k->issue, who_orders(k, ca_set), conf, k->row.name, now_ms);
    hook_events_init(k);
    take_over_store(k, before);
    if (!take_over_lost(k, before) && !k->settled && before && store->certs_fd < 0)
        k->row = *before; /* the store is unreachable: workers keep what they have */
    /* A request that waits for an order of the predecessor keeps waiting. */
    k->row.busy = store->ours ? issue_busy(&k->issue) : before && before->busy;
    k->row.candidate = 0;
    row_show_notes(k);
    k->row.wanted = wanted_source(k);
    row_publish(k);
    same = before && before->generation == k->row.generation;
    if (k->settled && !same && row_has_live(k)) {
        heritage_ring_workers(heritage);
        deploy_tell(k);
    }
    /* The files may hold another pair than the store. */
    if (conf->source == CONF_CERT_FILES && !*k->unread)
        k->settled = false;
}

/* Has the service that owns the store made another generation live? One that cannot be used
 * here is not read again at each look, because each time would be logged. */
static bool other_is_new(struct certificate *k, uint64_t now_ms)
{
    uint32_t current = k->store->certs_fd < 0 ? 0 : store_current(k->store, k->row.name);

    if (current == 0 || current == k->row.generation ||
        (current == k->tried && now_ms < k->try_again_ms))
        return false;
    k->tried = current;
    k->try_again_ms = now_ms + CERTIFICATE_RENEWAL_MS;
    return true;
}

void certificate_store(struct certificate *k, const char *trouble, uint64_t now_ms)
{
    uint32_t before = k->row.generation;
    struct ca_set *ca_set = k->issue.ca_set;

    if (!trouble) {
        issue_release(&k->issue);
        issue_init(&k->issue, ca_set, k->conf, k->row.name, now_ms);
        hook_events_init(k);
        take_over_store(k, NULL);
        k->row.busy = issue_busy(&k->issue);
        k->due_ms = now_ms;
    } else if (other_is_new(k, now_ms)) {
        take_over_store(k, NULL);
    }
    if (k->row.generation != before) {
        row_publish(k);
        heritage_ring_workers(k->heritage);
        deploy_tell(k);
    }
    row_store_error(k, trouble ? trouble : "");
}

/* Without a store nothing is ordered, because the result could not be kept. */
static void look_whether_usable(struct certificate *k, const char *trouble, uint64_t now_ms)
{
    char why[TABLE_NOTE];

    if (!*trouble && *k->unread)
        trouble = k->unread;
    if (!*trouble && !store_usable(k->store->path, k->row.name, k->row.generation, why))
        trouble = why;
    if (*k->unusable && !*trouble)
        k->issue.due_ms = now_ms;
    row_store_unusable(k, trouble);
}

void certificate_look_at_store(struct certificate *k, const char *trouble, uint64_t now_ms)
{
    look_whether_usable(k, trouble, now_ms);
    if (!row_has_live(k) || k->lost || deploy_waits(k) || !k->store->ours ||
        store_has(k->store, k->row.name, k->row.generation))
        return;
    k->lost = true;
    import_forget(&k->import); /* else files that did not change would not be read again */
    k->due_ms = now_ms;
    k->issue.due_ms = 0;
    log_warn("certificate %s: generation %u is gone from the store; workers keep using it, and "
             "another one is %s",
             k->conf->name, k->row.generation,
             k->row.source == CERT_SELF_SIGNED || !k->issue.ca_set ? "made" : "ordered");
}

void certificate_release(struct certificate *k)
{
    import_release(&k->import);
    account_op_release(&k->op);
    issue_release(&k->issue);
    hook_events_release(k);
}

/* ---- configured files */

/* There is nothing to import, for this reason. A bad pair may be half-replaced, so it is
 * reported only when the next round finds it bad as well, unless nothing else can be served.
 * false: the store could not be written. */
static bool bad_files(struct certificate *k, const char *error)
{
    bool stored = row_has_live(k) || make_selfsigned(k);

    import_forget(&k->import);
    if (stored && (k->suspicious || !k->settled || k->row.source == CERT_SELF_SIGNED)) {
        row_complain(k, error);
        k->files_bad = true;
    }
    k->suspicious = true;
    return stored;
}

/* They hold the live pair. */
static void good_files(struct certificate *k, const char *warning)
{
    row_complain(k, warning);
    if (k->files_bad)
        log_info("certificate %s: its files hold the live pair again; generation %u stays live",
                 k->conf->name, k->row.generation);
    k->suspicious = k->files_bad = false;
}

/* Does the live one serve clients that verify? */
static bool serves(const struct certificate *k)
{
    return k->row.source >= CERT_FILE && !k->row.revoked_wall_ms &&
           clock_wall_ms() < k->row.not_after_wall_ms;
}

/* Must the pair not go live? While the list of revoked certificates cannot be read, it may only
 * replace what is worse: no certificate, or one that browsers refuse anyway. */
static bool is_refused(const struct certificate *k, const struct pem_pair *pair,
                       char text[TABLE_REASON])
{
    char why[TABLE_NOTE];

    take_over_refuses(k, pair, text);
    if (!*text && serves(k) && !revoked_readable(k->store, why))
        snprintf(text, TABLE_REASON,
                 "the list of revoked certificates cannot be read; the live certificate stays "
                 "until it can");
    return *text != '\0';
}

static bool new_pair(struct certificate *k, const struct pem_pair *pair)
{
    struct pem_info info;
    char error[TABLE_REASON];
    uint8_t digest[PEM_DIGEST];

    if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info, error) < 0)
        return bad_files(k, error);
    pem_digest(pair, digest);
    if (k->row.source == CERT_FILE && !k->lost &&
        memcmp(digest, k->digest, sizeof digest) == 0) {
        good_files(k, info.warning);
        return true;
    }
    if (is_refused(k, pair, error))
        return bad_files(k, error);
    k->suspicious = false;
    if (!deploy_waits(k) && deploy_offer(k, pair, CERT_FILE, &info, CERTIFICATE_FILES))
        return true;
    import_forget(&k->import); /* so that the next round reads the files again */
    return deploy_waits(k);
}

void certificate_reply(struct certificate *k, const struct message *reply, int *fd,
                       uint64_t now_ms)
{
    struct pem_pair pair;
    char error[TABLE_REASON];
    bool stored = true;

    if (k->conf->source != CONF_CERT_FILES ||
        !import_reply(&k->import, k->heritage->control_fd, reply, fd))
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
    k->due_ms = now_ms + (stored ? CERTIFICATE_POLL_MS : CERTIFICATE_RETRY_MS);
}

/* Starts a round. A round without a reply is given up first. */
static void tick_files(struct certificate *k, uint64_t now_ms)
{
    if (k->import.waiting_for >= 0) {
        k->suspicious = true; /* the service must start nevertheless */
        bad_files(k, "the supervisor does not open the files");
        k->settled = true;
    }
    k->due_ms = now_ms + CERTIFICATE_RESPONSE_MS;
    if (import_ask(&k->import, k->heritage->control_fd) < 0)
        k->due_ms = now_ms + CERTIFICATE_AGAIN_MS;
}

/* For a certificate that is not ordered, nothing else updates the notes. */
static void show_hook(struct certificate *k)
{
    struct cert_row before = k->row;

    row_show_notes(k);
    if (memcmp(&before, &k->row, sizeof before) != 0)
        row_publish(k);
}

/* ---- all of it */

void certificate_tick(struct certificate *k, uint64_t now_ms)
{
    bool old = k->row.source == CERT_SELF_SIGNED &&
               (k->lost || clock_wall_ms() >= selfsigned_renewal(k->row.not_after_wall_ms));

    take_over_adopt(k);
    row_look_at_common(k);
    hook_events_look(k, now_ms);
    issue_dns_look(&k->issue, now_ms);
    request_tick(k, now_ms);
    if (take_over_waits(k, now_ms))
        return;
    if (deploy_waits(k)) {
        deploy_look(k, now_ms);
        return;
    }
    if (k->issue.ca_set && row_has_live(k) && k->store->ours &&
        (*k->unusable || request_settled(k, now_ms)))
        from_ca_tick(k, now_ms);
    if (now_ms < k->due_ms || deploy_waits(k))
        return;
    if (k->conf->source == CONF_CERT_FILES) {
        show_hook(k);
        hook_events_expiring(k);
        if (old && !make_selfsigned(k))
            k->due_ms = now_ms + CERTIFICATE_RETRY_MS; /* files could not be stored either */
        else
            tick_files(k, now_ms);
        return;
    }
    k->due_ms = now_ms + CERTIFICATE_RENEWAL_MS;
    if (row_has_live(k) && !old)
        return;
    if (make_selfsigned(k))
        row_complain(k, k->issue.state.problem);
    else
        k->due_ms = now_ms + CERTIFICATE_RETRY_MS;
}

void certificate_request(struct certificate *k, enum cert_request request, unsigned reason,
                         int32_t pid, uint64_t now_ms)
{
    uint32_t before;

    take_over_waits(k, k->unread_ms); /* the operator may have repaired what is in the way */
    before = k->row.generation;
    if (!reply_has_room(&k->row)) {
        log_warn("certificate %s: ignored: %d commands are in progress already", k->conf->name,
                 CERT_REPLIES);
        return;
    }
    /* The order must have started, or failed with a reason, before the operator gets the
     * reply. */
    if (request_start(k, request, reason, now_ms))
        from_ca_tick(k, now_ms);
    k->row.busy |= request_busy(k) || issue_busy(&k->issue);
    if (k->row.reply[0])
        reply_refuse(&k->row, request, pid, k->row.reply);
    else
        reply_accept(&k->row, request, pid, before);
    k->row.reply[0] = '\0'; /* else a command that is in progress would take it as its own */
    row_publish(k);
}
