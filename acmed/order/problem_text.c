#include "acmed/order/problem_text.h"

#include <stdio.h>
#include <string.h>

#include "acmed/net/preflight.h"
#include "base/clock.h"
#include "base/str.h"

/* %s is the identifier. RFC 8555 section 6.7, RFC 9773 section 7, and the profiles draft. */
static const struct {
    const char *type, *of_name, *otherwise; /* otherwise: no name, or of_name is NULL */
} known[] = {
    {"accountDoesNotExist", NULL,
     "the CA no longer knows our account; the next try creates one"},
    {"alreadyReplaced", NULL, "the CA has already replaced this certificate"},
    {"alreadyRevoked", NULL, "it is already revoked"},
    {"badCSR", NULL, "the CA refused the certificate request"},
    {"badNonce", NULL, "the CA does not accept its own nonces; retrying later"},
    {"badPublicKey", NULL, "the CA does not accept this kind of key"},
    {"badRevocationReason", NULL, "the CA does not accept this reason for a revocation"},
    {"badSignatureAlgorithm", NULL, "the CA does not accept ES256 signatures"},
    {"caa", "a CAA record of %s forbids this CA; add one that names it",
     "a CAA record forbids this CA; add one that names it"},
    {"compound", NULL, "the CA reports several problems"},
    {"connection", "the CA cannot reach %s; open ports 80 and 443 to this host",
     "the CA cannot reach this host; open ports 80 and 443"},
    {"dns", "the CA cannot find %s in DNS; check its A, AAAA or TXT records",
     "the CA cannot find a name in DNS"},
    {"externalAccountRequired", NULL,
     "this CA requires external account binding; set acme.eab to the values that it gave you"},
    {"incorrectResponse", "another server responds to the CA for %s; make the name lead here",
     "another server responds to the CA; make the names lead here"},
    {"invalidContact", NULL, "the CA refused acme.email; set another one"},
    {"invalidProfile", NULL, "the CA refused acme.profile; set another one"},
    {"malformed", NULL, "the CA calls the request malformed"},
    {"orderNotReady", NULL, "the CA is not ready; retrying later"},
    {"rateLimited", "a rate limit of the CA is reached for %s; retrying later",
     "a rate limit of the CA is reached; retrying later"},
    {"rejectedIdentifier", "the CA does not sign %s; remove it from names",
     "the CA does not sign one of the names; remove it"},
    {"serverInternal", NULL, "the CA has an internal error; retrying later"},
    {"tls", "the CA gets no TLS connection to %s; make port 443 lead here",
     "the CA gets no TLS connection; make port 443 lead here"},
    {"unauthorized",
     "%s could not be validated; make it lead here, and look for another server in front of "
     "pasgate",
     "the CA does not accept our account for this; check it there, and acme.eab if it is set"},
    {"unsupportedContact", NULL, "the CA cannot write to acme.email; set another one"},
    {"unsupportedIdentifier", "the CA does not sign names like %s; remove it from names",
     "the CA does not sign names of this kind"},
    {"userActionRequired", NULL,
     "the CA requires a person to act, such as accepting new terms of service; open the page "
     "that it names"},
};

static bool is_of_name(char c)
{
    return ascii_is_alpha((unsigned char)c) || ascii_is_digit((unsigned char)c) || c == '-' ||
           c == '_' || c == '.' || c == '*' || c == ':';
}

/* As a whole word, not as the end of a longer name; a full stop or colon may follow. */
static bool mentions(const char *text, const char *name)
{
    size_t n = strlen(name), whole = strlen(text);

    for (size_t i = 0; n && i + n <= whole; i++) {
        const char *end = text + i + n;

        if (mem_eq_case(text + i, name, n) && (i == 0 || !is_of_name(text[i - 1])) &&
            (!is_of_name(*end) || ((*end == '.' || *end == ':') && !is_of_name(end[1]))))
            return true;
    }
    return false;
}

void problem_text_find_name(struct job_problem *p, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n && !p->name[0]; i++)
        if (strncmp(p->type, "net.", 4) != 0 && mentions(p->detail, names[i]))
            str_copy(p->name, sizeof p->name, str_from(names[i]));
}

static size_t problem_text_add(char *out, size_t cap, size_t n, const char *text)
{
    size_t more = strlen(text);

    if (n >= cap)
        return n;
    snprintf(out + n, cap - n, "%s", text);
    return n + more < cap ? n + more : cap - 1;
}

/* Texts for dns-01, where the CA looks for a TXT record; those for the other kinds would send
 * the operator to a web server. false: not such a problem. */
static bool of_record(const struct job_problem *p, char *out, size_t cap, size_t *n)
{
    static const char *const types[] = {"connection", "dns", "incorrectResponse",
                                        "unauthorized"};
    const char *name = strncmp(p->name, "*.", 2) == 0 ? p->name + 2 : p->name;
    bool is = false;

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is |= strcmp(p->type, types[i]) == 0;
    if (!is || p->challenge != JOB_DNS_01 || !*name)
        return false;
    *n = (size_t)snprintf(
        out, cap,
        "%.100s could not be validated by DNS; check the zone of _acme-challenge.%.100s, where "
        "a CNAME there leads to, and what acme.hook publishes",
        p->name, name);
    *n = *n < cap ? *n : cap - 1;
    return true;
}

static size_t problem_text_plain(const struct job_problem *p, char *out, size_t cap)
{
    size_t n = 0;

    if (of_record(p, out, cap, &n))
        return n;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const char *text =
            p->name[0] && known[i].of_name ? known[i].of_name : known[i].otherwise;
        const char *at = strstr(text, "%s");

        if (strcmp(known[i].type, p->type) != 0)
            continue;
        n = at ? (size_t)snprintf(out, cap, "%.*s%.100s%s", (int)(at - text), text, p->name,
                                  at + 2)
               : problem_text_add(out, cap, 0, text);
        return n < cap ? n : cap - 1;
    }
    n = problem_text_add(out, cap, 0, p->name[0] ? "the CA refuses " : "the CA refuses");
    return problem_text_add(out, cap, n, p->name);
}

static size_t by_ca(const struct job_problem *p, char *out, size_t cap)
{
    size_t n = problem_text_plain(p, out, cap);
    char status[24];

    /* "about:blank" says nothing more than the status does (RFC 7807 section 4.2). */
    snprintf(status, sizeof status, "status %u", p->status);
    n = problem_text_add(out, cap, n, " (");
    n = problem_text_add(out, cap, n,
                         p->status && strcmp(p->type, "about:blank") == 0 ? status : p->type);
    if (p->detail[0])
        n = problem_text_add(out, cap, n, ": ");
    n = problem_text_add(out, cap, n, p->detail);
    return problem_text_add(out, cap, n, ")");
}

char *problem_text_for(const struct job_problem *p, int64_t clock_off_ms, char *out, size_t cap)
{
    bool clock = clock_off_ms > PREFLIGHT_CLOCK_MS || clock_off_ms < -PREFLIGHT_CLOCK_MS;
    char text[64], span[CLOCK_SPAN_SIZE];
    size_t n = 0;

    out[0] = '\0';
    if (clock) { /* first, because it may well be the cause of the rest */
        snprintf(text, sizeof text, "the clock here is %s %s the CA's; ",
                 clock_span(span, clock_off_ms < 0 ? -(uint64_t)clock_off_ms
                                                   : (uint64_t)clock_off_ms),
                 clock_off_ms < 0 ? "ahead of" : "behind");
        n = problem_text_add(out, cap, 0, text);
    }
    if (strncmp(p->type, "net.", 4) == 0)
        problem_text_add(out, cap, n, p->detail);
    else
        by_ca(p, out + n, cap - n);
    return out;
}

/* Inserts `what` at `at`; what no longer fits is cut off at the end. */
static void problem_text_insert(char *text, size_t cap, char *at, const char *what)
{
    size_t n = strlen(what), behind = strlen(at), room = cap - 1 - (size_t)(at - text);

    if (n > room)
        return;
    if (behind > room - n)
        behind = room - n;
    memmove(at + n, at, behind);
    memcpy(at, what, n);
    at[n + behind] = '\0';
}

void problem_text_of_ca(enum fallback_ca ca, char *text, size_t cap)
{
    static const char *const settings[] = {"acme.directory", "acme.email", "acme.eab",
                                           "acme.ca_file", "acme.profile"};

    for (size_t i = 0; ca == FALLBACK_SECOND && i < sizeof settings / sizeof *settings; i++)
        for (char *at = text; (at = strstr(at, settings[i])) != NULL; at += strlen("acme."))
            problem_text_insert(text, cap, at + strlen("acme."), "fallback.");
    if (ca == FALLBACK_SECOND)
        problem_text_insert(text, cap, text, "second CA: ");
    else if (ca == FALLBACK_STAGING)
        problem_text_insert(text, cap, text, "staging dry run: ");
}
