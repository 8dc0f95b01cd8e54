#include "acmed/order/policy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include "acmed/order/fallback.h"
#include "base/conf/conf.h"

static const char letsencrypt[] = ".api.letsencrypt.org/";
static const char production[] = "https://acme-v02.api.letsencrypt.org/";

/* RFC 2606, 6761, 6762, 7686, 8375, and names that ICANN reserves. */
static const char *const reserved[] = {
    "localhost", "localdomain", "local",       "internal",    "test",        "example",
    "invalid",   "onion",       "home.arpa",   "lan",         "home",        "corp",
    "mail",      "alt",         "example.com", "example.net", "example.org",
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0 && (n == m || name[n - m - 1] == '.');
}

static bool private_v4(const uint8_t a[4])
{
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 ||
           (a[0] == 100 && (a[1] & 0xc0) == 64) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
}

static bool policy_is_address(const char *name, uint8_t a[16], bool *v4)
{
    *v4 = inet_pton(AF_INET, name, a) == 1;
    return *v4 || inet_pton(AF_INET6, name, a) == 1;
}

bool policy_private(const char *name)
{
    uint8_t a[16];
    bool v4;

    if (policy_is_address(name, a, &v4))
        return v4 ? private_v4(a) : (a[0] & 0xe0) != 0x20; /* 2000::/3 is the public Internet */
    if (!strchr(name, '.'))
        return true;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (ends_with(name, reserved[i]))
            return true;
    return false;
}

bool policy_here(const struct conf_cert *cert)
{
    for (size_t i = 0; i < cert->n_names; i++) {
        const char *name = cert->names[i];

        if (strcmp(name, "localhost") != 0 && strcmp(name, "127.0.0.1") != 0 &&
            strcmp(name, "::1") != 0)
            return false;
    }
    return true;
}

/* Whether any challenge kind configured for this certificate can prove this name. */
static bool provable(const struct conf_acme *acme, const struct conf_cert *cert,
                     const char *name)
{
    enum job_challenge kinds[JOB_CHALLENGES];

    return fallback_fitting(&name, 1, cert->n_challenges ? cert->challenges : acme->challenges,
                            cert->n_challenges ? cert->n_challenges : acme->n_challenges,
                            kinds) > 0;
}

const char *policy_refuses(const struct conf *conf, const struct conf_cert *cert, bool *meant)
{
    const struct conf_acme *acme = &conf->acme;
    bool public_ca = strstr(acme->directory, letsencrypt) != NULL;
    bool v4;
    uint8_t a[16];

    *meant = false;
    if (cert->source == CONF_CERT_FILES)
        return "it comes from files: replace key and chain there, which is noticed";
    if (cert->source != CONF_CERT_ACME)
        return "it is not ordered from a CA, but self-signed, as configured";
    if (!acme->agree_tos)
        return "not ordered: acme.agree_tos is false";
    for (size_t i = 0; i < cert->n_names; i++) /* first: an email would not help */
        if (public_ca && policy_private(cert->names[i]))
            return "not ordered: no public CA signs a private name; set chain and key, or "
                   "self_signed = true";
    if (!*acme->email && strncmp(acme->directory, production, sizeof production - 1) == 0)
        return "not ordered: set acme.email to order it from Let's Encrypt";
    *meant = true;
    for (size_t i = 0; i < cert->n_names; i++) {
        if (!provable(acme, cert, cert->names[i]))
            return cert->names[i][0] == '*' ? "not ordered: a wildcard needs acme.challenges = "
                                              "[ \"dns-01\" ] and a hook"
                                            : "not ordered: dns-01 cannot validate an IP "
                                              "address; add http-01 to its challenges";
        if (public_ca && policy_is_address(cert->names[i], a, &v4) &&
            strcmp(acme->profile, "shortlived") != 0)
            return "not ordered: for an IP address set acme.profile = \"shortlived\"";
    }
    return NULL;
}
