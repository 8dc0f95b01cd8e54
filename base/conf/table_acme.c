/* conf/table_acme.c - settings of certificates and of ordering them. See conf/table.h. */
#include "base/conf/rows.h"

static const struct conf_choice key_types[] = {{"p256", CONF_KEY_P256, 0},
                                               {"p384", CONF_KEY_P384, 0},
                                               {"rsa2048", CONF_KEY_RSA2048, 0},
                                               {"rsa4096", CONF_KEY_RSA4096, 0},
                                               {NULL, 0, 0}};

/* clang-format off: a table reads best with one setting per paragraph */

static const struct conf_setting eab_rows[] = {
    {"kid", &conf_string, AT(conf_acme, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that the CA gave."},
    {"hmac_key", &conf_secret, AT(conf_acme, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that the CA gave, in base64url."},
    END};
static const struct conf_section eab_section = {NULL, NULL, eab_rows, sizeof(struct conf_acme),
                                                NULL, NULL};

#define LIMIT_MAX 1000000 /* more than anybody orders: switches a limit off */
static const struct conf_setting limit_rows[] = {
    {"failures", &conf_count, AT(conf_ca_limits, failures), .def = "auto", .min = 1,
     .max = LIMIT_MAX, .zero = "auto",
     .text = "Failed orders for one name in an hour. auto: 4 at Let's Encrypt, which allows 5; "
             "60 at any other CA."},
    {"orders", &conf_count, AT(conf_ca_limits, orders), .def = "auto", .min = 1,
     .max = LIMIT_MAX, .zero = "auto",
     .text = "Orders of the account in three hours. auto: 250 at Let's Encrypt, which allows "
             "300; no limit at any other CA."},
    {"same_names", &conf_count, AT(conf_ca_limits, same_names), .def = "auto", .min = 1,
     .max = LIMIT_MAX, .zero = "auto",
     .text = "Certificates for the same set of names in seven days. auto: 4 at Let's Encrypt, "
             "which allows 5 and does not count renewals by ARI; no limit at any other CA."},
    {"accounts", &conf_count, AT(conf_ca_limits, accounts), .def = "auto", .min = 1,
     .max = LIMIT_MAX, .zero = "auto",
     .text = "Accounts made in three hours. auto: 3 at Let's Encrypt, which allows 10; 10 at "
             "any other CA."},
    END};
static const struct conf_section limits_section = {
    "acme.limits",
    "Upper bounds on what is asked of the CA, so that the CA's own limits are never reached. A "
    "renewal that cannot wait without the certificate expiring is ordered anyway. Whatever the "
    "limits, a certificate that was just renewed is not renewed again before a tenth of its "
    "lifetime has passed. acme.fallback.limits are those of the second CA.",
    limit_rows,
    sizeof(struct conf_ca_limits),
    NULL,
    NULL,
};
static const struct conf_section fallback_limits_section = {
    NULL, NULL, limit_rows, sizeof(struct conf_ca_limits), NULL, NULL};

static const struct conf_setting fallback_eab_rows[] = {
    {"kid", &conf_string, AT(conf_fallback, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that this CA gave."},
    {"hmac_key", &conf_secret, AT(conf_fallback, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that this CA gave, in base64url."},
    END};
static const struct conf_section fallback_eab_section = {
    NULL, NULL, fallback_eab_rows, sizeof(struct conf_fallback), NULL, NULL};

static const struct conf_setting fallback_rows[] = {
    {"directory", &conf_directory, AT(conf_fallback, directory), .def = "", .flags = OPTIONAL,
     .text = "The second CA. It gets an account of its own."},
    {"after", &conf_count, AT(conf_fallback, after), .def = "3", .min = 1, .max = 100,
     .text = "Failures in a row that the first CA may have caused: unreachable, limits, errors "
             "of its own. A name that it refuses or cannot validate does not count."},
    {"email", &conf_email, AT(conf_fallback, email), .def = "", .flags = OPTIONAL,
     .text = "Email address for this CA; by default acme.email."},
    {"eab", NULL, .offset = 0, .section = &fallback_eab_section,
     .text = "External account binding, if this CA wants it."},
    {"profile", &conf_string, AT(conf_fallback, profile), .def = "", .flags = OPTIONAL,
     .max = 64, .text = "Certificate profile to ask this CA for."},
    {"profile_required", &conf_bool, AT(conf_fallback, profile_required), .def = "false",
     .text = "Never order from this CA without this profile."},
    {"limits", NULL, AT(conf_fallback, limits), .section = &fallback_limits_section,
     .text = "Upper bounds for this CA; like acme.limits."},
    {"ca_file", &conf_file, AT(conf_fallback, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the root certificates that verify this CA's own server; by default "
             "those of the system."},
    END};
static const struct conf_section fallback_section = {
    "acme.fallback",
    "A second CA. It is tried in turn with the first one when that has failed for some time; "
    "the next renewal begins with the first one again.",
    fallback_rows,
    sizeof(struct conf_fallback),
    NULL,
    NULL,
};

static const struct conf_setting acme_rows[] = {
    {"directory", &conf_directory, AT(conf_acme, directory), .def = "letsencrypt",
     .text = "The CA to order certificates from."},
    {"email", &conf_email, AT(conf_acme, email), .def = "", .flags = OPTIONAL,
     .text = "Email address that the CA may write to. Without it nothing is ordered from Let's "
             "Encrypt, so that a test or a demonstration never does so by mistake. When it "
             "changes, the account at the CA is updated."},
    {"agree_tos", &conf_bool, AT(conf_acme, agree_tos), .def = "true",
     .text = "You agree to the CA's terms of service. With false, nothing can be ordered."},
    {"store", &conf_file, AT(conf_acme, store), .def = "/var/lib/pasgate",
     .max = CONF_STRING_LEN, .text = "Directory of accounts, keys and certificates."},
    {"eab", NULL, .offset = 0, .section = &eab_section,
     .text = "External account binding, for a CA that wants it."},
    {"challenges", &conf_challenge, MANY(conf_acme, challenges), .max = 3,
     .text =
         "How control of a name is proved, the preferred way first; when one fails, the next "
         "order tries another, and a renewal begins with the one that worked. Not given: "
         "http-01, for which port 80 of every name must lead here, then tls-alpn-01, which "
         "needs port 443. dns-01 calls the hook, and is required for a wildcard."},
    {"staging", &conf_staging, AT(conf_acme, staging), .def = "auto",
     .text = "Where an order is tried first after a failure, until it succeeds, so that the "
             "limits of the CA are kept for real orders; the certificate is thrown away. auto "
             "is the staging server of Let's Encrypt, and none for any other CA."},
    {"fallback", NULL, AT(conf_acme, fallback), .section = &fallback_section,
     .text = "See below."},
    {"preflight", &conf_bool, AT(conf_acme, preflight), .def = "true",
     .text = "Before each order, check that the names resolve to this host and that CAA "
             "records allow the CA; findings are in the status."},
    {"http_port", &conf_port, AT(conf_acme, http_port), .def = "80", .min = 1, .max = 65535,
     .text = "Port that the CA uses for http-01: 80, except for test CAs. The preflight uses "
             "it too."},
    {"resolver", &conf_resolver, AT(conf_acme, resolver), .def = "", .flags = OPTIONAL,
     .text = "DNS server for the preflight and dns-01, for a network whose own server gives "
             "other answers than the Internet; by default that of the system."},
    {"dns_wait", &conf_ms, AT(conf_acme, dns_wait_ms), .def = "2m", .zero = "off",
     .min = SECONDS, .max = HOURS,
     .text =
         "How long to look for the TXT records of dns-01 at the servers of their zones before "
         "the CA is told to look: a record that it does not find counts against its limits, "
         "and most providers take seconds to a minute until all their servers have it. If a "
         "record is not seen in this time, the order proceeds anyway, because the CA may see "
         "more than this host does; the status says so. off: the CA is told at once."},
    {"profile", &conf_string, AT(conf_acme, profile), .def = "", .flags = OPTIONAL, .max = 64,
     .text = "Certificate profile to ask for, such as shortlived, which Let's Encrypt requires "
             "for IP addresses."},
    {"profile_required", &conf_bool, AT(conf_acme, profile_required), .def = "false",
     .text =
         "Never order without that profile. With false, if the CA does not offer or refuses "
         "the profile, the order is made without one, and the log and the status say so."},
    {"limits", NULL, AT(conf_acme, limits), .section = &limits_section, .text = "See below."},
    {"preferred_chain", &conf_string, AT(conf_acme, preferred_chain), .def = "",
     .flags = OPTIONAL, .max = 128,
     .text = "Common name of an issuer, such as a root. If the CA offers several chains, the "
             "one that leads to this issuer is used; if none does, the first."},
    {"ca_file", &conf_file, AT(conf_acme, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the root certificates that verify the CA's own server; by default "
             "those of the system."},
    {"hook", &conf_file, AT(conf_acme, hook), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "Program to call for dns-01, when a certificate was issued or renewed, once an "
             "hour while one cannot be obtained, and once a day when files of yours expire "
             "soon. Its environment says what happened: PASGATE_EVENT is issued, renewed, "
             "failed, expiring, dns-put or dns-drop. See THE HOOK."},
    END};
const struct conf_section conf_acme_section = {
    "acme",
    "How certificates are ordered. Until one is issued, and for a name that no CA would sign, "
    "such as localhost, a temporary self-signed certificate is served. From Let's Encrypt only "
    "names of the public Internet are ordered; from any other directory, all of them.",
    acme_rows,
    sizeof(struct conf_acme),
    NULL,
    NULL,
};

static const struct conf_setting cert_rows[] = {
    {"names", &conf_cert_name, MANY(conf_cert, names) | REQUIRED, .min = 1,
     .max = CONF_MAX_NAMES, .more = "the others need a certificate of their own, or a wildcard",
     .text = "Host names and IP addresses. A client that asks for one of them gets this "
             "certificate. Two certificates may have the same names if one has an ECDSA key "
             "and the other an RSA key."},
    {"name", &conf_name, AT(conf_cert, name), .def = "", .flags = OPTIONAL,
     .text =
         "Name of the certificate in status and commands; by default the first of its names."},
    {"acme", &conf_bool, AT(conf_cert, acme), .def = "false",
     .text = "Order it by ACME. This is the default if neither chain and key nor self_signed "
             "are given."},
    {"self_signed", &conf_bool, AT(conf_cert, self_signed), .def = "false",
     .text =
         "Create a self-signed certificate and order nothing: for tests and demonstrations."},
    {"chain", &conf_file, AT(conf_cert, chain), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the certificate and its chain. It is watched, and goes live when it "
             "and the key match again."},
    {"key", &conf_file, AT(conf_cert, key), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the private key. Only root needs to be able to read it."},
    {"key_type", &conf_choice, MANY(conf_cert, key_type), .min = 1, .max = 2,
     .choices = key_types,
     .text = "Key type of a certificate that is ordered, from the next order on. Not given: "
             "p256, which nearly every client supports, and the fastest. Two types, one of "
             "each kind, as in [ \"p256\", \"rsa2048\" ], make two certificates, each renewed "
             "by itself: a client gets the one that it can use, ECDSA if it can use both. The "
             "second has the name of the first with -rsa or -ecdsa appended."},
    {"challenges", &conf_challenge, MANY(conf_cert, challenges), .max = 3,
     .text = "How control of its names is proved; by default as acme.challenges says."},
    END};
const struct conf_section conf_cert_section = {
    "certificates",
    "Certificates. A client that asks for none of their names gets the first one.",
    cert_rows,
    sizeof(struct conf_cert),
    NULL,
    NULL,
};
/* clang-format on */
