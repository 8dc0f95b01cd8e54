/* conf/check_certs.c - checks across the settings of certificates; see conf/check.c and
 * conf/build.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"

static bool conf_check_certs_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void conf_check_certs_no_null(const char **s)
{
    if (!*s)
        *s = "";
}

static unsigned conf_check_certs_first(unsigned a, unsigned b)
{
    return a ? a : b;
}

static void check_file(struct conf_build *b, const char *const *field, const char *what)
{
    struct stat st;

    if (!**field || (b->early && access(*field, F_OK) < 0))
        return;
    /* No error if this user may not look at the file: the service checks it as root. */
    if (stat(*field, &st) == 0 ? !S_ISREG(st.st_mode) : errno == ENOENT || errno == ENOTDIR)
        conf_errors_add(&b->report, conf_line_of_field(b, field),
                        "certificates.%s: %s is not a file; write the path of a PEM file", what,
                        *field);
}

static void check_source(struct conf_build *b, struct conf_cert *c)
{
    unsigned line = conf_line_of_record(b, c);
    bool files = *c->chain || *c->key;

    if (files && (!*c->chain || !*c->key))
        conf_errors_add(&b->report, line,
                        "certificates: %s without %s; write both, or neither to order one",
                        *c->chain ? "chain" : "key", *c->chain ? "key" : "chain");
    if (files + c->acme + c->self_signed > 1)
        conf_errors_add(&b->report, line,
                        "certificates: more than one of acme, self_signed, and chain with key; "
                        "write one of them");
    if (!files && !c->self_signed && !c->acme && conf_line_of_field(b, &c->acme))
        conf_errors_add(
            &b->report, conf_line_of_field(b, &c->acme),
            "certificates.acme: is false and nothing else is given; write chain and "
            "key, or self_signed = true");
    check_file(b, &c->chain, "chain");
    check_file(b, &c->key, "key");

    c->source = files ? CONF_CERT_FILES : c->self_signed ? CONF_CERT_SELF : CONF_CERT_ACME;
    c->acme = c->source == CONF_CERT_ACME;
    if (c->acme && !b->conf->acme.agree_tos)
        conf_errors_add(&b->report, line,
                        "certificates: cannot be ordered while acme.agree_tos is false; agree, "
                        "or write chain and key");
}

/* ---- two key types */

/* Defaults are filled in, so that the dump shows them. */
static void check_key_type(struct conf_build *b, struct conf_cert *c)
{
    unsigned line = conf_line_of_record(b, c);

    if (c->n_key_type == 0) {
        enum conf_key_type *type = conf_arena_alloc(b->arena, sizeof *type);

        *type = CONF_KEY_P256;
        c->key_type = type;
        c->n_key_type = 1;
    }
    if (c->n_key_type == 1 || b->report.bad)
        return;
    if (c->source != CONF_CERT_ACME)
        conf_errors_add(
            &b->report, line,
            "certificates.key_type: two key types work only for a certificate that is ordered; "
            "write two certificates with the same names, one for each key type");
    if (conf_key_is_rsa(c->key_type[0]) == conf_key_is_rsa(c->key_type[1]))
        conf_errors_add(&b->report, line,
                        "certificates.key_type: both are of the same kind; write one of p256 "
                        "and p384, and one of rsa2048 and rsa4096");
}

static bool has_name(const struct conf_cert *c, const char *name)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (conf_check_certs_eq(c->names[i], name))
            return true;
    return false;
}

static bool conf_check_certs_same_names(const struct conf_cert *a, const struct conf_cert *b)
{
    for (size_t i = 0; i < a->n_names; i++)
        if (!has_name(b, a->names[i]))
            return false;
    return a->n_names == b->n_names && a->n_names > 0;
}

/* True if a client may get either one, depending on the key type. The key type of a file is
 * only known when the file is read, so files with the same names always match here. */
static bool may_be_dual(const struct conf_cert *a, const struct conf_cert *b)
{
    bool ordered = a->source == CONF_CERT_ACME && b->source == CONF_CERT_ACME;

    return conf_check_certs_same_names(a, b) && a->n_key_type == 1 && b->n_key_type == 1 &&
           (!ordered || conf_key_is_rsa(*a->key_type) != conf_key_is_rsa(*b->key_type));
}

static void find_dual(struct conf_cert *all, size_t upto)
{
    for (size_t i = 0; i < upto && !all[upto].dual; i++)
        if (!all[i].dual && may_be_dual(&all[i], &all[upto])) {
            all[i].dual = &all[upto];
            all[upto].dual = &all[i];
        }
}

/* The name of the second certificate, made from that of the first. */
static const char *dual_name(struct conf_build *b, const char *name, const struct conf_cert *c)
{
    const char *end = c->source != CONF_CERT_ACME     ? "-2"
                      : conf_key_is_rsa(*c->key_type) ? "-rsa"
                                                      : "-ecdsa";
    char text[CONF_NAME_LEN + 1];

    snprintf(text, sizeof text, "%.*s%s", (int)(CONF_NAME_LEN - strlen(end)), name, end);
    return conf_arena_strdup(b->arena, text);
}

/* ---- names */

struct cert_name {
    const char *name;
    uint32_t cert, at; /* index of the certificate, and of the name in it */
};

static int conf_check_certs_name_cmp(const void *va, const void *vb)
{
    const struct cert_name *a = va, *b = vb;
    int d = strcmp(a->name, b->name);

    if (d == 0)
        d = (a->cert > b->cert) - (a->cert < b->cert);
    return d ? d : (a->at > b->at) - (a->at < b->at);
}

static struct cert_name *all_names(const struct conf *conf, size_t *n)
{
    struct cert_name *all;

    *n = 0;
    for (size_t i = 0; i < conf->n_certs; i++)
        *n += conf->certs[i].n_names;
    all = calloc(*n ? *n : 1, sizeof *all);
    *n = 0;
    for (uint32_t i = 0; all && i < conf->n_certs; i++)
        for (uint32_t at = 0; at < conf->certs[i].n_names; at++)
            if (*conf->certs[i].names[at])
                all[(*n)++] = (struct cert_name){conf->certs[i].names[at], i, at};
    return all;
}

/* No name may occur twice, in one certificate or in two, because it must be clear which one a
 * client gets. Only two with different key types may share their names. Sorted, because there
 * may be a hundred thousand names. */
static void check_cert_names(struct conf_build *b)
{
    const struct conf_cert *certs = b->conf->certs;
    size_t n;
    struct cert_name *all = all_names(b->conf, &n);

    if (!all) {
        conf_errors_no_memory(&b->report);
        return;
    }
    qsort(all, n, sizeof *all, conf_check_certs_name_cmp);
    for (size_t i = 1, conf_check_certs_first = 0; i < n; i++) {
        const struct conf_cert *c = &certs[all[i].cert];
        bool twice = false;

        if (!conf_check_certs_eq(all[i].name, all[conf_check_certs_first].name))
            conf_check_certs_first = i;
        for (size_t k = conf_check_certs_first; k < i && !twice; k++)
            twice = all[k].cert == all[i].cert || &certs[all[k].cert] != c->dual;
        if (twice)
            conf_errors_add(&b->report, conf_line_of_field(b, &c->names[all[i].at]),
                            "certificates.names: \"%s\" twice; write each name once",
                            all[i].name);
    }
    free(all);
}

static void name_it(struct conf_build *b, struct conf_cert *c)
{
    bool wild = c->names[0][0] == '*';
    char name[CONF_HOST_LEN + 16];

    snprintf(name, sizeof name, "%s%s", wild ? "wildcard" : "", c->names[0] + wild);
    c->name = conf_name_from_host(b, name);
    if (c->dual && conf_check_certs_eq(c->name, c->dual->name))
        c->name = dual_name(b, c->name, c);
}

static bool is_taken(const struct conf *conf, const char *name, size_t upto)
{
    for (size_t i = 0; i < upto; i++)
        if (conf_check_certs_eq(conf->certs[i].name, name))
            return true;
    return false;
}

/* ---- all of them */

void conf_check_certs(struct conf_build *b)
{
    struct conf *conf = b->conf;
    struct conf_cert *c = (struct conf_cert *)conf->certs;

    for (size_t i = 0; i < conf->n_certs; i++) {
        c[i].index = (uint32_t)i;
        c[i].where = conf_where(b, conf_line_of_record(b, &c[i]));
        for (size_t n = 0; n < c[i].n_names; n++)
            conf_check_certs_no_null((const char **)&c[i].names[n]);
        check_source(b, &c[i]);
        check_key_type(b, &c[i]);
        conf_check_challenges(b, "certificates", c[i].challenges, c[i].n_challenges);
        find_dual(c, i);
        if (!*c[i].name && c[i].n_names)
            name_it(b, &c[i]);
        if (*c[i].name && c[i].n_names && is_taken(conf, c[i].name, i))
            conf_errors_add(&b->report,
                            conf_check_certs_first(conf_line_of_field(b, &c[i].name),
                                                   conf_line_of_record(b, &c[i])),
                            "certificates.name: \"%s\" twice; give each its own name",
                            c[i].name);
    }
    check_cert_names(b);
}

/* Appends the second certificate, for the second key type of all[of]. */
static void add_second(struct conf_build *b, struct conf_cert *all, size_t of, size_t line_of)
{
    struct conf *conf = b->conf;
    struct conf_cert *one = &all[of], *two = &all[conf->n_certs];

    *two = *one;
    two->key_type = one->key_type + 1;
    one->n_key_type = two->n_key_type = 1;
    two->index = (uint32_t)conf->n_certs;
    two->name = dual_name(b, one->name, two);
    one->dual = two;
    two->dual = one;
    if (is_taken(conf, two->name, conf->n_certs))
        conf_errors_add(&b->report, (unsigned)line_of,
                        "certificates.key_type: the second one would be called \"%s\", which "
                        "is taken; rename the other certificate",
                        two->name);
    conf->n_certs++;
}

void conf_spread_certs(struct conf_build *b)
{
    struct conf *conf = b->conf;
    const struct conf_cert *written = conf->certs;
    size_t n = conf->n_certs, more = 0;
    struct conf_cert *all;

    for (size_t i = 0; i < n; i++)
        more += written[i].n_key_type > 1;
    if (more == 0)
        return;
    if (n + more > CONF_MAX_CERTS) {
        conf_errors_add(&b->report, 0,
                        "%zu certificates, counting both key types; at most %d are allowed",
                        n + more, CONF_MAX_CERTS);
        return;
    }
    all = conf_arena_alloc(b->arena, (n + more) * sizeof *all);
    memcpy(all, written, n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        if (written[i].dual)
            all[i].dual = &all[written[i].dual->index];
    conf->certs = all;
    for (size_t i = 0; i < n; i++)
        if (written[i].n_key_type > 1)
            add_second(b, all, i, conf_line_of_record(b, &written[i]));
}
