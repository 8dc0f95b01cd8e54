/* conf/check_acme.c - checks across the settings of acme; see conf/check.c and conf/build.h. */
#include <string.h>

#include "base/conf/build.h"
#include "base/conf/type.h"

static bool conf_check_acme_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static unsigned conf_check_acme_first(unsigned a, unsigned b)
{
    return a ? a : b;
}

void conf_check_challenges(struct conf_build *b, const char *whose,
                           const char *const *challenges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (challenges[i] && conf_check_acme_eq(challenges[i], "dns-01") &&
            !*b->conf->acme.hook)
            conf_errors_add(&b->report, conf_line_of_field(b, &challenges[i]),
                            "%s.challenges: dns-01 needs a program that publishes the record; "
                            "set acme.hook",
                            whose);
}

/* Strict, so that the key can be decoded: no padding, no stray bits. "***" is accepted because
 * a dump shows it instead of the key. */
static bool conf_check_acme_is_base64url(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_";
    static const unsigned stray[] = {0, 0, 15, 3};
    size_t n = strlen(text);

    if (conf_check_acme_eq(text, "***"))
        return true;
    if (n % 4 == 1 || strspn(text, letters) != n)
        return false;
    return n == 0 || ((strchr(letters, text[n - 1]) - letters) & stray[n % 4]) == 0;
}

/* Messages never contain the key itself. */
static void check_hmac_key(struct conf_build *b, const char *const *key, const char *whose)
{
    if (!conf_check_acme_is_base64url(*key))
        conf_errors_add(&b->report, conf_line_of_field(b, key),
                        "%s.eab.hmac_key: is not a base64url key (letters, digits, - and _); "
                        "copy it again exactly as the CA gave it",
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
            line = conf_check_acme_first(line, conf_line_of_field(b, given[i]));
    if (!*f->directory && line)
        conf_errors_add(
            &b->report, line,
            "acme.fallback: directory is missing; write the directory of the second CA");
    if (*f->directory && (conf_check_acme_eq(f->directory, acme->directory) ||
                          conf_check_acme_eq(f->directory, acme->staging)))
        conf_errors_add(
            &b->report, conf_line_of_field(b, &f->directory),
            "acme.fallback.directory: is the directory of the first CA; write another one");
    if (!*f->eab_kid != !*f->eab_hmac_key)
        conf_errors_add(&b->report, line,
                        "acme.fallback.eab: %s is missing; write both as the CA gave them",
                        *f->eab_kid ? "hmac_key" : "kid");
    check_hmac_key(b, &f->eab_hmac_key, "acme.fallback");
}

void conf_check_acme(struct conf_build *b)
{
    struct conf_acme *acme = &b->conf->acme;

    if (conf_check_acme_eq(acme->staging, "off"))
        acme->staging = "";
    else if (conf_check_acme_eq(acme->staging, "auto"))
        acme->staging = conf_staging_of(acme->directory);
    else if (conf_check_acme_eq(acme->staging, acme->directory))
        conf_errors_add(&b->report, conf_line_of_field(b, &acme->staging),
                        "acme.staging: is acme.directory itself; write another one, or off");
    check_fallback(b);
    conf_check_challenges(b, "acme", acme->challenges, acme->n_challenges);
    if (!*acme->eab_kid != !*acme->eab_hmac_key)
        conf_errors_add(&b->report,
                        conf_check_acme_first(conf_line_of_field(b, &acme->eab_kid),
                                              conf_line_of_field(b, &acme->eab_hmac_key)),
                        "acme.eab: %s is missing; write both as the CA gave them",
                        *acme->eab_kid ? "hmac_key" : "kid");
    check_hmac_key(b, &acme->eab_hmac_key, "acme");
}
