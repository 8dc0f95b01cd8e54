#include "acmed/net/caa.h"

#include <arpa/nameser.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { CRITICAL = 0x80 };

struct property {
    uint8_t flags;
    struct str tag, value;
};

/* Format: flags, length of the tag, tag, value. */
static bool read_property(const uint8_t *data, size_t n, struct property *p)
{
    const char *text = (const char *)data;

    if (n < 2 || data[1] == 0 || data[1] > n - 2)
        return false;
    p->flags = data[0];
    p->tag = str_make(text + 2, data[1]);
    p->value = str_make(text + 2 + data[1], n - 2 - data[1]);
    return true;
}

static bool tag_is(const struct property *p, const char *tag)
{
    return str_eq_case(p->tag, str_from(tag));
}

static bool tag_known(const struct property *p)
{
    static const char *const known[] = {"issue",    "issuewild",    "iodef",       "issuemail",
                                        "issuevmc", "contactemail", "contactphone"};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (tag_is(p, known[i]))
            return true;
    return false;
}

/* value is "ca.example; parameter=value". The parameters are for the CA. */
static bool names_ca(struct str value, const char *identities)
{
    struct str issuer = str_trim(str_head(value, str_index(value, ';')));
    struct str list = str_from(identities), one;

    while (str_next_item(&list, &one))
        if (one.n && str_eq_case(one, issuer))
            return true;
    return false;
}

static void caa_describe(const struct property *p, char out[CAA_TEXT])
{
    snprintf(out, CAA_TEXT, "%u %.*s \"%.*s\"", p->flags, p->tag.n < 15 ? (int)p->tag.n : 15,
             p->tag.p, p->value.n < 90 ? (int)p->value.n : 90, p->value.p);
    for (char *c = out; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

struct tally {
    bool any, any_issue, any_wild; /* there are records; with these tags */
    bool issue, wild, unknown;     /* one names this CA; an unknown critical one exists */
    char against[CAA_TEXT], against_wild[CAA_TEXT], unknown_text[CAA_TEXT];
};

static void caa_count(struct tally *t, const struct property *p, const char *identities)
{
    bool ours = names_ca(p->value, identities);

    t->any = true;
    if (tag_is(p, "issue")) {
        t->any_issue = true;
        t->issue |= ours;
        caa_describe(p, t->against);
    } else if (tag_is(p, "issuewild")) {
        t->any_wild = true;
        t->wild |= ours;
        caa_describe(p, t->against_wild);
    } else if ((p->flags & CRITICAL) && !tag_known(p)) {
        t->unknown = true;
        caa_describe(p, t->unknown_text);
    }
}

static enum caa_verdict verdict(const struct tally *t, bool wildcard, char why[CAA_TEXT])
{
    bool by_wild = wildcard && t->any_wild;

    if (!t->any)
        return CAA_NONE;
    if (t->unknown) {
        snprintf(why, CAA_TEXT, "%s", t->unknown_text);
        return CAA_FORBIDS;
    }
    if (by_wild ? t->wild : !t->any_issue || t->issue)
        return CAA_ALLOWS;
    snprintf(why, CAA_TEXT, "%s", by_wild ? t->against_wild : t->against);
    return CAA_FORBIDS;
}

const char *caa_parent(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot && dot[1] ? dot + 1 : NULL;
}

enum caa_verdict caa_judge(const uint8_t *reply, size_t n, const char *identities,
                           bool wildcard, char why[CAA_TEXT])
{
    struct tally tally = {0};
    struct property property;
    ns_msg message;
    ns_rr record;

    why[0] = '\0';
    if (n > INT_MAX || ns_initparse(reply, (int)n, &message) < 0)
        return CAA_BAD;
    if (ns_msg_getflag(message, ns_f_rcode) != ns_r_noerror &&
        ns_msg_getflag(message, ns_f_rcode) != ns_r_nxdomain)
        return CAA_BAD;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++) {
        if (ns_parserr(&message, ns_s_an, i, &record) < 0)
            return CAA_BAD;
        if ((int)ns_rr_type(record) != CAA_TYPE || ns_rr_class(record) != ns_c_in)
            continue; /* a CNAME on the way */
        if (!read_property(ns_rr_rdata(record), ns_rr_rdlen(record), &property))
            return CAA_BAD;
        caa_count(&tally, &property, identities);
    }
    return verdict(&tally, wildcard, why);
}
