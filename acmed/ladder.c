#include "acmed/ladder.h"

#include <arpa/inet.h>
#include <string.h>

#include "acmed/backoff.h"

static uint32_t bit(enum job_challenge kind)
{
    return kind ? UINT32_C(1) << kind : 0;
}

/* ---- kinds of challenges */

static enum job_challenge kind_of(const char *name)
{
    return strcmp(name, "tls-alpn-01") == 0 ? JOB_TLS_ALPN_01
           : strcmp(name, "dns-01") == 0    ? JOB_DNS_01
                                            : JOB_HTTP_01;
}

static bool proves(enum job_challenge kind, const char *name)
{
    unsigned char address[16];

    if (kind != JOB_DNS_01)
        return name[0] != '*';
    return inet_pton(AF_INET, name, address) != 1 && inet_pton(AF_INET6, name, address) != 1;
}

size_t ladder_fitting(const char *const *names, size_t n_names, const char *const *wished,
                      size_t n_wished, enum job_challenge out[JOB_CHALLENGES])
{
    static const char *const otherwise[] = {"http-01", "tls-alpn-01"};
    uint32_t taken = 0;
    size_t n = 0;

    if (n_wished == 0) {
        wished = otherwise;
        n_wished = sizeof otherwise / sizeof *otherwise;
    }
    for (size_t i = 0; i < n_wished; i++) {
        enum job_challenge kind = kind_of(wished[i]);
        bool any = false;

        for (size_t j = 0; j < n_names; j++)
            any |= proves(kind, names[j]);
        if (any && !(taken & bit(kind)))
            out[n++] = kind;
        taken |= bit(kind);
    }
    return n;
}

/* The lower, the sooner: failed ones last, then doubted ones, and what worked first. */
static int rank(const struct ladder *l, enum job_challenge kind)
{
    return (l->kinds_failed & bit(kind) ? 4 : 0) + (l->doubted == (uint32_t)kind ? 2 : 0) +
           (l->kind_worked == (uint32_t)kind ? 0 : 1);
}

void ladder_kinds(const struct ladder *l, const struct ladder_ways *ways,
                  enum job_challenge out[JOB_CHALLENGES])
{
    size_t n = 0;

    memset(out, 0, JOB_CHALLENGES * sizeof *out);
    for (int r = 0; r < 8; r++)
        for (size_t i = 0; i < ways->n_kinds; i++)
            if (rank(l, ways->kinds[i]) == r)
                out[n++] = ways->kinds[i];
}

/* true: this kind had not failed yet, and another one has not. */
static bool kind_failed(struct ladder *l, const struct ladder_ways *ways,
                        enum job_challenge kind)
{
    uint32_t all = 0;

    for (size_t i = 0; i < ways->n_kinds; i++)
        all |= bit(ways->kinds[i]);
    if (l->kinds_failed & bit(kind) || !(all & bit(kind))) {
        l->kinds_failed = bit(kind) & all; /* another round */
        return false;
    }
    l->kinds_failed |= bit(kind);
    if ((l->kinds_failed & all) != all)
        return true;
    l->kinds_failed = 0;
    return false;
}

/* ---- CAs */

enum ladder_ca ladder_ca(const struct ladder *l, const struct ladder_ways *ways)
{
    if (ways->second && l->ca_failures >= ways->after && l->asked != LADDER_SECOND)
        return LADDER_SECOND;
    return ways->staging && l->rehearse ? LADDER_STAGING : LADDER_FIRST;
}

static bool is_one_of(const char *type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(type, list[i]) == 0)
            return true;
    return false;
}

enum ladder_fault ladder_fault(const struct job_problem *p)
{
    static const char *const proof[] = {"connection", "dns", "tls", "incorrectResponse",
                                        "net.refused"};
    static const char *const ca[] = {
        "net.connect",   "net.answer",          "net.deadline",       "net.chain",
        "net.broken",    "rateLimited",         "serverInternal",     "badNonce",
        "orderNotReady", "accountDoesNotExist", "userActionRequired", "about:blank"};

    if (p->challenge || is_one_of(p->type, proof, sizeof proof / sizeof *proof))
        return LADDER_FAULT_PROOF;
    if (strcmp(p->type, "unauthorized") == 0)
        return p->name[0] ? LADDER_FAULT_PROOF : LADDER_FAULT_CA; /* of the account */
    if (is_one_of(p->type, ca, sizeof ca / sizeof *ca) || p->status >= 500)
        return LADDER_FAULT_CA;
    return LADDER_FAULT_OURS;
}

bool ladder_failed(struct ladder *l, const struct ladder_ways *ways, enum ladder_ca ca,
                   const struct job_problem *problem)
{
    enum ladder_fault fault = ladder_fault(problem);

    l->asked = ca;
    l->rehearsed = 0;
    l->doubted = 0;
    if (ca == LADDER_FIRST) {
        l->rehearse = fault != LADDER_FAULT_CA;
        l->ca_failures = fault == LADDER_FAULT_CA ? backoff_count(l->ca_failures) : 0;
    } else if (ca == LADDER_STAGING && fault == LADDER_FAULT_CA) {
        l->rehearse = 0; /* staging is ill: it may not stand in the way */
    }
    return problem->challenge && kind_failed(l, ways, problem->challenge);
}

bool ladder_succeeded(struct ladder *l, enum ladder_ca ca, enum job_challenge kind)
{
    bool rehearsed = ca == LADDER_STAGING;

    if (kind)
        l->kind_worked = kind;
    l->kinds_failed = 0;
    l->doubted = 0;
    l->rehearse = 0;
    l->rehearsed = rehearsed;
    l->held = 0;
    if (!rehearsed) {
        l->ca_failures = 0;
        l->asked = LADDER_FIRST;
    }
    return rehearsed;
}
