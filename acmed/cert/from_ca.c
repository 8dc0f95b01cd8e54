#include "acmed/cert/from_ca.h"

#include <stdio.h>
#include <string.h>

#include "acmed/cert/deploy.h"
#include "acmed/cert/hook_events.h"
#include "acmed/cert/reply.h"
#include "acmed/cert/request.h"
#include "acmed/cert/row.h"
#include "acmed/cert/take_over.h"
#include "acmed/order/clock_note.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

void from_ca_settled(struct certificate *k, enum certificate_end end, const char *text)
{
    const struct issue_live live = row_live(k);
    bool lives = end == CERTIFICATE_LIVES;

    if (end == CERTIFICATE_REJECTED)
        issue_forget_order(&k->issue); /* else the same one would come again, endlessly */
    issue_settle(&k->issue, &live, lives ? NULL : text);
    if (!lives) {
        hook_events_trouble(k);
        return;
    }
    row_complain(k, ""); /* what the one before had is over */
    if (*text)
        log_warn("certificate %s: %s", k->conf->name, text);
}

/* Result of an order: checks the pair once more, the way a worker will use it, and offers it
 * for deployment. */
static void take_certificate(struct certificate *k, const struct issue_live *live,
                             const struct pem_pair *pair)
{
    struct pem_info info;
    char error[TABLE_REASON];
    uint8_t digest[PEM_DIGEST];

    pem_digest(pair, digest);
    take_over_refuses(k, pair, error);
    if (*error) {
        issue_forget_order(&k->issue);
        issue_settle(&k->issue, live, error);
        hook_events_trouble(k);
    } else if (pem_check(pair, k->conf->names, k->conf->n_names, clock_wall_ms(), &info,
                         error) < 0) {
        issue_settle(&k->issue, live, error);
        hook_events_trouble(k);
    } else if (clock_wall_ms() < info.not_before_wall_ms) {
        if (issue_wait_valid(&k->issue, info.not_before_wall_ms))
            return;
        issue_forget_order(&k->issue);
        issue_settle(&k->issue, live,
                     "the CA's certificate is not valid yet by the CA's own clock");
        hook_events_trouble(k);
    } else if (k->row.source == CERT_ACME && !k->lost &&
               memcmp(digest, k->digest, sizeof digest) == 0) {
        reply_same(&k->row); /* a predecessor got this far */
        issue_settle(&k->issue, live, NULL);
    } else if (!deploy_offer(k, pair, CERT_ACME, &info, CERTIFICATE_CA)) {
        issue_not_stored(&k->issue, live, k->row.error);
        hook_events_trouble(k);
    }
}

/* What is done about a certificate that must be replaced; "": it need not. While nothing can be
 * ordered, the note of that certificate says why. */
static const char *show_order(const struct certificate *k, char out[TABLE_REASON])
{
    const char *what = k->row.revoked_wall_ms ? "" : k->lost ? "missing in the store: " : NULL;
    bool held = *k->issue.ca_set->unusable || *k->unusable;

    if (!what)
        return "";
    snprintf(out, TABLE_REASON, "%sa new one is ordered%s", what,
             held ? " as soon as that is possible" : "");
    return out;
}

static void show_issue(struct certificate *k)
{
    const struct issue_live live = row_live(k);
    const struct issue *is = &k->issue;
    uint64_t now = clock_wall_ms(), at = plan_order_at(&is->state, &live.plan, now);
    bool past = plan_is_past(&is->state, &live.plan, now);
    char ordered[TABLE_REASON];
    const char *error = is->state.problem[0] && !past
                            ? clock_note_rest(is->state.problem, k->clock)
                            : show_order(k, ordered);
    struct cert_row before = k->row;

    k->row.busy = issue_busy(is) || request_busy(k);
    memcpy(k->row.doing, is->doing, sizeof k->row.doing);
    if (past && !k->row.busy)
        k->row.doing[0] = '\0';
    row_show_notes(k);
    k->row.failures = past ? 0 : is->state.failures;
    k->row.next_try_wall_ms = !plan_knows(&is->state, &live.plan) ? 0
                              : at > now                          ? at
                                                                  : now / 1000 * 1000;
    if (row_has_live(k) && strncmp(k->row.error, error, sizeof k->row.error) != 0)
        snprintf(k->row.error, sizeof k->row.error, "%s", error);
    if (memcmp(&before, &k->row, sizeof before) != 0)
        row_publish(k);
}

/* Of two certificates for the same names only one is ordered at a time: both would be validated
 * through the same names, and tls-alpn-01 and dns-01 have one slot for each name. */
static bool waits_for_dual(const struct certificate *k)
{
    return k->dual && k->dual->issue.run && !k->issue.run;
}

void from_ca_tick(struct certificate *k, uint64_t now_ms)
{
    const struct issue_live live = row_live(k);
    struct pem_pair pair = {0};

    if (waits_for_dual(k) || (*k->unusable && !k->issue.run)) {
        show_issue(k);
        return;
    }

    switch (issue_tick(&k->issue, &live, now_ms, &pair)) {
    case ISSUE_CAME:
        take_certificate(k, &live, &pair);
        pem_pair_release(&pair);
        break;
    case ISSUE_FAILED:
        hook_events_trouble(k);
        break;
    case ISSUE_NOTHING:
    case ISSUE_CHANGED:
        break;
    }
    show_issue(k);
}
