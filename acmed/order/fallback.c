#include "acmed/order/fallback.h"

#include <arpa/inet.h>
#include <string.h>

#include "acmed/order/backoff.h"

static uint32_t bit(enum job_challenge kind)
{
    return kind ? UINT32_C(1) << kind : 0;
}

/* ---- challenge kinds */

static enum job_challenge fallback_kind_of(const char *name)
{
    return strcmp(name, "tls-alpn-01") == 0 ? JOB_TLS_ALPN_01
           : strcmp(name, "dns-01") == 0    ? JOB_DNS_01
                                            : JOB_HTTP_01;
}

static bool fallback_proves(enum job_challenge kind, const char *name)
{
    unsigned char address[16];

    if (kind != JOB_DNS_01)
        return name[0] != '*';
    return inet_pton(AF_INET, name, address) != 1 && inet_pton(AF_INET6, name, address) != 1;
}

size_t fallback_fitting(const char *const *names, size_t n_names, const char *const *configured,
                        size_t n_configured, enum job_challenge out[JOB_CHALLENGES])
{
    static const char *const otherwise[] = {"http-01", "tls-alpn-01"};
    uint32_t taken = 0;
    size_t n = 0;

    if (n_configured == 0) {
        configured = otherwise;
        n_configured = sizeof otherwise / sizeof *otherwise;
    }
    for (size_t i = 0; i < n_configured; i++) {
        enum job_challenge kind = fallback_kind_of(configured[i]);
        bool any = false;

        for (size_t j = 0; j < n_names; j++)
            any |= fallback_proves(kind, names[j]);
        if (any && !(taken & bit(kind)))
            out[n++] = kind;
        taken |= bit(kind);
    }
    return n;
}

/* Lower is tried first: what worked, then the others, then the doubted kind, then failed
 * ones. */
static int fallback_rank(const struct fallback *fallback, enum job_challenge kind)
{
    return (fallback->kinds_failed & bit(kind) ? 4 : 0) +
           (fallback->doubted == (uint32_t)kind ? 2 : 0) +
           (fallback->kind_worked == (uint32_t)kind ? 0 : 1);
}

void fallback_kinds(const struct fallback *fallback, const struct order_options *options,
                    enum job_challenge out[JOB_CHALLENGES])
{
    size_t n = 0;

    memset(out, 0, JOB_CHALLENGES * sizeof *out);
    for (int r = 0; r < 8; r++)
        for (size_t i = 0; i < options->n_kinds; i++)
            if (fallback_rank(fallback, options->kinds[i]) == r)
                out[n++] = options->kinds[i];
}

/* true: this kind had not failed before, and another one is left. */
static bool kind_failed(struct fallback *fallback, const struct order_options *options,
                        enum job_challenge kind)
{
    uint32_t all = 0;

    for (size_t i = 0; i < options->n_kinds; i++)
        all |= bit(options->kinds[i]);
    if (fallback->kinds_failed & bit(kind) || !(all & bit(kind))) {
        fallback->kinds_failed = bit(kind) & all; /* a new round */
        return false;
    }
    fallback->kinds_failed |= bit(kind);
    if ((fallback->kinds_failed & all) != all)
        return true;
    fallback->kinds_failed = 0;
    return false;
}

/* ---- CAs */

enum fallback_ca fallback_ca(const struct fallback *fallback,
                             const struct order_options *options)
{
    if (options->second && fallback->ca_failures >= options->after &&
        fallback->asked != FALLBACK_SECOND)
        return FALLBACK_SECOND;
    return options->staging && fallback->dry_run_first && !options->urgent ? FALLBACK_STAGING
                                                                           : FALLBACK_FIRST;
}

static bool fallback_is_one_of(const char *type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(type, list[i]) == 0)
            return true;
    return false;
}

enum fallback_fault fallback_fault(const struct job_problem *p)
{
    static const char *const proof[] = {"connection", "dns", "tls", "incorrectResponse",
                                        "net.hook"};
    static const char *const ca[] = {
        "net.connect",       "net.response",  "net.deadline",        "net.chain",
        "net.authorization", "net.broken",    "rateLimited",         "serverInternal",
        "badNonce",          "orderNotReady", "accountDoesNotExist", "userActionRequired",
        "about:blank"};

    if (p->challenge || fallback_is_one_of(p->type, proof, sizeof proof / sizeof *proof))
        return FALLBACK_FAULT_PROOF;
    if (strcmp(p->type, "unauthorized") == 0)
        return p->name[0] ? FALLBACK_FAULT_PROOF : FALLBACK_FAULT_CA; /* the account is */
    if (fallback_is_one_of(p->type, ca, sizeof ca / sizeof *ca) || p->status >= 500)
        return FALLBACK_FAULT_CA;
    return FALLBACK_FAULT_OURS;
}

bool fallback_unreached(const struct job_problem *p)
{
    static const char *const types[] = {"net.connect", "net.response", "net.deadline"};

    if (p->challenge || p->retry_after_s)
        return false;
    return fallback_is_one_of(p->type, types, sizeof types / sizeof *types) ||
           (p->status >= 502 && p->status <= 504);
}

/* acmed itself or the hook stopped the order, whatever the CA is. */
static bool stopped_here(const struct job_problem *p)
{
    static const char *const types[] = {"net.hook", "net.refused"};

    return fallback_is_one_of(p->type, types, sizeof types / sizeof *types);
}

/* Staging has the same configuration, but another account and other profiles: what one of them
 * says of these, says nothing of the other. */
static bool only_that_ca_tells(const struct job_problem *p)
{
    static const char *const types[] = {"net.config", "invalidProfile",
                                        "externalAccountRequired"};

    return fallback_is_one_of(p->type, types, sizeof types / sizeof *types);
}

/* Staging refused the order itself, before any name had to be proved: so some CAs refuse a
 * required profile that they do not have. If the names are the cause, the CA says so, too, and
 * counts no failed validation. */
static bool refused_order(const struct job_problem *p)
{
    return !p->challenge && strcmp(p->type, "malformed") == 0;
}

bool fallback_failed(struct fallback *fallback, const struct order_options *options,
                     enum fallback_ca ca, const struct job_problem *problem)
{
    enum fallback_fault fault = fallback_fault(problem);

    fallback->asked = ca;
    fallback->dry_run_passed = 0;
    fallback->doubted = 0;
    if (stopped_here(problem)) {
        /* No CA said anything, so a staging dry run would tell nothing new and would lose the
         * order. */
    } else if (ca == FALLBACK_FIRST) {
        fallback->dry_run_first = fault != FALLBACK_FAULT_CA && !only_that_ca_tells(problem);
        fallback->ca_failures =
            fault == FALLBACK_FAULT_CA ? backoff_count(fallback->ca_failures) : 0;
    } else if (ca == FALLBACK_STAGING &&
               (fault == FALLBACK_FAULT_CA || only_that_ca_tells(problem) ||
                refused_order(problem))) {
        fallback->dry_run_first = 0; /* staging itself is the cause: it must not block orders */
    }
    return problem->challenge && kind_failed(fallback, options, problem->challenge);
}

bool fallback_succeeded(struct fallback *fallback, enum fallback_ca ca, enum job_challenge kind)
{
    bool dry_run_passed = ca == FALLBACK_STAGING;

    if (kind)
        fallback->kind_worked = kind;
    fallback->kinds_failed = 0;
    fallback->doubted = 0;
    fallback->dry_run_first = 0;
    fallback->dry_run_passed = dry_run_passed;
    fallback->held = 0;
    if (!dry_run_passed) {
        fallback->ca_failures = 0;
        fallback->asked = FALLBACK_FIRST;
    }
    return dry_run_passed;
}
