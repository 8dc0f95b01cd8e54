/* conf_check_acme.c - what no single setting of acme shows; see conf_check.c and conf_build.h.
 */
#include <string.h>

#include "base/conf_build.h"
#include "base/conf_kind.h"

static bool eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static unsigned first(unsigned a, unsigned b)
{
    return a ? a : b;
}

void conf_check_challenges(struct conf_build *b, const char *whose,
                           const char *const *challenges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (challenges[i] && eq(challenges[i], "dns-01") && !*b->conf->acme.hook)
            conf_report_add(&b->report, conf_line_of_field(b, &challenges[i]),
                            "%s.challenges: dns-01 needs a program that publishes the record; "
                            "write acme.hook",
                            whose);
}

static void check_fallback(struct conf_build *b)
{
    const struct conf_acme *acme = &b->conf->acme;
    const struct conf_fallback *f = &acme->fallback;
    const char *const *given[] = {&f->email, &f->profile, &f->ca_file, &f->eab_kid,
                                  &f->eab_hmac_key};
    unsigned line = 0;

    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        if (**given[i])
            line = first(line, conf_line_of_field(b, given[i]));
    if (!*f->directory && line)
        conf_report_add(&b->report, line,
                        "acme.fallback: directory is missing; write that of the second CA");
    if (*f->directory && (eq(f->directory, acme->directory) || eq(f->directory, acme->staging)))
        conf_report_add(&b->report, conf_line_of_field(b, &f->directory),
                        "acme.fallback.directory: is that of the first CA; write another one");
    if (!*f->eab_kid != !*f->eab_hmac_key)
        conf_report_add(&b->report, line,
                        "acme.fallback.eab: %s is missing; write both as the CA gave them",
                        *f->eab_kid ? "hmac_key" : "kid");
}

void conf_check_acme(struct conf_build *b)
{
    struct conf_acme *acme = &b->conf->acme;

    if (eq(acme->staging, "off"))
        acme->staging = "";
    else if (eq(acme->staging, "auto"))
        acme->staging = conf_staging_of(acme->directory);
    else if (eq(acme->staging, acme->directory))
        conf_report_add(&b->report, conf_line_of_field(b, &acme->staging),
                        "acme.staging: is acme.directory itself; write another one, or off");
    check_fallback(b);
    conf_check_challenges(b, "acme", acme->challenges, acme->n_challenges);
    if (!*acme->eab_kid != !*acme->eab_hmac_key)
        conf_report_add(&b->report,
                        first(conf_line_of_field(b, &acme->eab_kid),
                              conf_line_of_field(b, &acme->eab_hmac_key)),
                        "acme.eab: %s is missing; write both as the CA gave them",
                        *acme->eab_kid ? "hmac_key" : "kid");
}
