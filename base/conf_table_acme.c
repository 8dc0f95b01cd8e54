/* conf_table_acme.c - settings of certificates and how they are ordered. See conf_table.h. */
#include "base/conf_rows.h"

static const struct conf_choice key_types[] = {{"p256", CONF_KEY_P256, 0},
                                               {"p384", CONF_KEY_P384, 0},
                                               {"rsa2048", CONF_KEY_RSA2048, 0},
                                               {"rsa4096", CONF_KEY_RSA4096, 0},
                                               {NULL, 0, 0}};

/* clang-format off: a table reads best with one setting per paragraph */

static const struct conf_setting eab_rows[] = {
    {"kid", &conf_string, AT(conf_acme, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that the CA gave."},
    {"hmac_key", &conf_string, AT(conf_acme, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that the CA gave, in base64url."},
    END};
static const struct conf_section eab_section = {NULL, NULL, eab_rows, sizeof(struct conf_acme),
                                                NULL, NULL};

static const struct conf_setting fallback_eab_rows[] = {
    {"kid", &conf_string, AT(conf_fallback, eab_kid), .def = "", .flags = OPTIONAL,
     .text = "The key identifier that this CA gave."},
    {"hmac_key", &conf_string, AT(conf_fallback, eab_hmac_key), .def = "", .flags = OPTIONAL,
     .text = "The key that this CA gave, in base64url."},
    END};
static const struct conf_section fallback_eab_section = {
    NULL, NULL, fallback_eab_rows, sizeof(struct conf_fallback), NULL, NULL};

static const struct conf_setting fallback_rows[] = {
    {"directory", &conf_directory, AT(conf_fallback, directory), .def = "", .flags = OPTIONAL,
     .text = "The second CA. It gets an account of its own."},
    {"after", &conf_count, AT(conf_fallback, after), .def = "3", .min = 1, .max = 100,
     .text = "Failures in a row that the first CA may be the cause of: not reached, limits, "
             "errors of its own. A name that it refuses or cannot prove does not count."},
    {"email", &conf_email, AT(conf_fallback, email), .def = "", .flags = OPTIONAL,
     .text = "Whom this CA may write to; else the email of acme."},
    {"eab", NULL, .offset = 0, .section = &fallback_eab_section,
     .text = "External account binding, if this CA wants it."},
    {"profile", &conf_string, AT(conf_fallback, profile), .def = "", .flags = OPTIONAL,
     .max = 64, .text = "Certificate profile to ask this CA for."},
    {"ca_file", &conf_file, AT(conf_fallback, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the roots that this CA's own server is verified with; else those of "
             "the system."},
    END};
static const struct conf_section fallback_section = {
    "acme.fallback",
    "A second CA. It is asked, in turn with the first one, when that has failed for some time; "
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
     .text = "Whom the CA may write to about them. Without it nothing is ordered from Let's "
             "Encrypt, so that a test or a demonstration never is by mistake."},
    {"agree_tos", &conf_bool, AT(conf_acme, agree_tos), .def = "true",
     .text =
         "You agree to the terms of service of the CA. With false, nothing can be ordered."},
    {"store", &conf_file, AT(conf_acme, store), .def = "/var/lib/pasgate",
     .max = CONF_STRING_LEN, .text = "Folder of accounts, keys and certificates."},
    {"eab", NULL, .offset = 0, .section = &eab_section,
     .text = "External account binding, for a CA that wants it."},
    {"challenges", &conf_challenge, MANY(conf_acme, challenges), .max = 3,
     .text = "How a name is proved, the preferred way first; when one fails, the next order "
             "tries another, and a renewal begins with the one that worked. Not given: "
             "http-01, which needs port 80 of every name to lead here, then tls-alpn-01, which "
             "needs port 443. dns-01 calls the hook, and is what a wildcard needs."},
    {"staging", &conf_staging, AT(conf_acme, staging), .def = "auto",
     .text = "Where an order is rehearsed after it failed, until it succeeds, so that the "
             "limits of the CA are kept for real ones; what comes of it is thrown away. auto "
             "is that of Let's Encrypt, and none for any other CA."},
    {"fallback", NULL, AT(conf_acme, fallback), .section = &fallback_section,
     .text = "See below."},
    {"preflight", &conf_bool, AT(conf_acme, preflight), .def = "true",
     .text = "Look before each order whether the names lead here and whether CAA records "
             "forbid the CA; what is found stands in the status."},
    {"http_port", &conf_port, AT(conf_acme, http_port), .def = "80", .min = 1, .max = 65535,
     .text = "Port at which the CA looks for http-01: 80 for every CA but one for tests. The "
             "preflight looks there, too."},
    {"resolver", &conf_resolver, AT(conf_acme, resolver), .def = "", .flags = OPTIONAL,
     .text = "DNS server that the preflight asks, for a network whose own one tells another "
             "story than the Internet; else that of the system."},
    {"profile", &conf_string, AT(conf_acme, profile), .def = "", .flags = OPTIONAL, .max = 64,
     .text =
         "Certificate profile to ask for, such as shortlived, which Let's Encrypt wants for "
         "IP addresses."},
    {"preferred_chain", &conf_string, AT(conf_acme, preferred_chain), .def = "",
     .flags = OPTIONAL, .max = 128,
     .text = "Common name of an issuer, such as that of a root. Where the CA offers several "
             "chains, the one that leads there is taken; if none does, the first."},
    {"ca_file", &conf_file, AT(conf_acme, ca_file), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the roots that the CA's own server is verified with; else those of "
             "the system."},
    {"hook", &conf_file, AT(conf_acme, hook), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "Program to call for dns-01, when a certificate came or was renewed, once an hour "
             "while one cannot be had, and once a day when files of yours end soon. Its "
             "environment tells what: PASGATE_EVENT is issued, renewed, failed, expiring, "
             "dns-put or dns-drop."},
    END};
const struct conf_section conf_acme_section = {
    "acme",
    "How certificates are ordered. Until one has come, and for a name that no CA would sign, "
    "such as localhost, a temporary self-signed one is served. From Let's Encrypt only names "
    "of the public Internet are ordered; from any other directory, all of them.",
    acme_rows,
    sizeof(struct conf_acme),
    NULL,
    NULL,
};

static const struct conf_setting cert_rows[] = {
    {"names", &conf_cert_name, MANY(conf_cert, names) | REQUIRED, .min = 1,
     .max = CONF_MAX_NAMES,
     .text = "Host names and IP addresses. A client that asks for one of them gets this "
             "certificate."},
    {"name", &conf_name, AT(conf_cert, name), .def = "", .flags = OPTIONAL,
     .text =
         "What the certificate is called in status and commands; else the first of its names."},
    {"acme", &conf_bool, AT(conf_cert, acme), .def = "false",
     .text = "Order it by ACME. This is what happens if neither chain and key nor self_signed "
             "are given."},
    {"self_signed", &conf_bool, AT(conf_cert, self_signed), .def = "false",
     .text = "Make it here and order nothing: for tests and demonstrations."},
    {"chain", &conf_file, AT(conf_cert, chain), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of the certificate and those above it. It is watched, and goes live "
             "when it and the key fit together again."},
    {"key", &conf_file, AT(conf_cert, key), .def = "", .flags = OPTIONAL,
     .max = CONF_STRING_LEN,
     .text = "PEM file of its key. Only root needs to be able to read it."},
    {"key_type", &conf_choice, AT(conf_cert, key_type), .def = "p256", .choices = key_types,
     .text = "The key of one that is ordered, from the next order on. P-256 is what every "
             "client understands, and the fastest."},
    {"challenges", &conf_challenge, MANY(conf_cert, challenges), .max = 3,
     .text = "How its names are proved; else as acme.challenges says."},
    END};
const struct conf_section conf_cert_section = {
    "certificates", "Certificates. A client that asks for none of their names gets the first.",
    cert_rows,      sizeof(struct conf_cert),
    NULL,           NULL,
};
/* clang-format on */
