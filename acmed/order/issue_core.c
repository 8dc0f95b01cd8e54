#include "acmed/order/issue_core.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/order/kvfile.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"

const struct conf_acme *issue_acme(const struct issue *is)
{
    return &is->ca_set->heritage->conf->acme;
}

struct rate_log_names issue_names(const struct issue *is)
{
    return (struct rate_log_names){.name = is->conf->names, .n = is->conf->n_names};
}

/* ---- what is on disk */

bool issue_open_dir(struct issue *is)
{
    if (is->dir >= 0 && kvfile_gone(is->dir))
        fd_close(&is->dir);
    if (is->dir < 0) {
        is->dir = kvfile_open(issue_acme(is)->store, "orders", is->name, true);
        is->state.begun = is->dir >= 0 && order_is_there(is->dir);
    }
    return is->dir >= 0;
}

void issue_save_state(struct issue *is)
{
    static struct log_gate gate;

    if ((!issue_open_dir(is) || cert_state_save(is->dir, &is->state) < 0) &&
        log_gate_open(&gate))
        log_warn("certificate %s: cannot store its state: %s", is->conf->name, strerror(errno));
}

void issue_forget_order(struct issue *is)
{
    order_forget(is->dir);
    is->state.begun = 0;
}

/* ---- choice of CA */

struct order_options issue_options(const struct issue *is)
{
    const struct conf_acme *acme = issue_acme(is);
    const struct conf_cert *cert = is->conf;
    struct order_options options = {.staging = *acme->staging,
                                    .second = *acme->fallback.directory,
                                    .after = acme->fallback.after,
                                    .urgent = is->urgent};

    options.n_kinds = fallback_fitting(
        cert->names, cert->n_names, cert->n_challenges ? cert->challenges : acme->challenges,
        cert->n_challenges ? cert->n_challenges : acme->n_challenges, options.kinds);
    return options;
}

int issue_live_ca(const struct issue *is)
{
    const int who[] = {FALLBACK_FIRST, FALLBACK_SECOND};

    if (is->state.issued_by == 0)
        return FALLBACK_FIRST; /* written when there was only one CA */
    for (size_t i = 0; i < sizeof who / sizeof *who; i++) {
        const char *directory = is->ca_set->ca[who[i]].directory;

        if (*directory && ca_set_hash(directory) == is->state.issued_by)
            return who[i];
    }
    return -1;
}

/* ---- the row */

void issue_says(struct issue *is)
{
    static const char *const now[FALLBACK_CAS] = {"is ordered", "staging dry run",
                                                  "is ordered from the second CA"};
    static const char *const next[FALLBACK_CAS] = {"", "next, a staging dry run",
                                                   "next, the second CA is tried"};
    const struct order_options options = issue_options(is);
    const char *text =
        is->state.failures ? next[fallback_ca(&is->state.fallback, &options)] : "";

    if (is->run && is->kind == JOB_PREFLIGHT)
        text = "checking that its names resolve to this host";
    else if (is->run && is->kind == JOB_ISSUE)
        text = now[is->ca];
    snprintf(is->doing, sizeof is->doing, "%s", text);
}

void issue_note(struct issue *is, const char *text)
{
    size_t at = 0;

    while (at + 1 < TABLE_NOTES && is->note[at][0])
        at++;
    str_fit(is->note[at], sizeof is->note[at], str_from(text));
}
