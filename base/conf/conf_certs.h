/* The part of the configuration (conf/conf.h) about CAs and certificates. */
#ifndef PASGATE_BASE_CONF_CERTS_H
#define PASGATE_BASE_CONF_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Upper limits of what a CA is asked for. 0: "auto", which depends on the CA
 * (acmed/order/rate_log.h). */
struct conf_ca_limits {
    uint32_t failures;   /* of one name in an hour */
    uint32_t orders;     /* of the account in three hours */
    uint32_t same_names; /* certificates for the same set of names in seven days */
    uint32_t accounts;   /* created in three hours */
};

/* A second CA, used when the first one fails. */
struct conf_fallback {
    const char *directory; /* like that of conf_acme; "": no second CA */
    const char *email;     /* "": that of conf_acme */
    const char *eab_kid;
    const char *eab_hmac_key;
    const char *ca_file;
    const char *profile;
    bool profile_required;
    uint32_t after; /* failures in a row at the first CA */
    struct conf_ca_limits limits;
};

struct conf_acme {
    const char *directory; /* a URL: short names are already resolved */
    const char *staging;   /* a URL: where an order is tried first after a failure; "": off */
    struct conf_fallback fallback;
    const char *email; /* may be "" */
    bool agree_tos;
    const char *store; /* absolute; directory of accounts, keys and certificates */
    const char *eab_kid;
    const char *eab_hmac_key;
    const char *const *challenges; /* "http-01", "tls-alpn-01", "dns-01" */
    size_t n_challenges;           /* 0: http-01, then tls-alpn-01 */
    const char *profile;
    bool profile_required; /* do not order without the profile */
    struct conf_ca_limits limits;
    const char *preferred_chain; /* common name of an issuer; "": the CA's choice */
    const char *ca_file;
    const char *hook; /* absolute; never "" with dns-01 */
    bool preflight;
    uint16_t http_port;   /* the port at which the CA asks for http-01 */
    const char *resolver; /* "address:port" for preflight and dns-01; "": the system's */
    uint32_t dns_wait_ms; /* for TXT records to be visible, before the CA is asked; 0: none */
};

enum conf_cert_source {
    CONF_CERT_ACME,  /* ordered by acmed; self-signed until the first one is there */
    CONF_CERT_FILES, /* chain and key, watched by acmed */
    CONF_CERT_SELF,  /* always self-signed, if the file says so: tests, internal use */
};

enum conf_key_type { CONF_KEY_P256, CONF_KEY_P384, CONF_KEY_RSA2048, CONF_KEY_RSA4096 };

static inline bool conf_key_is_rsa(enum conf_key_type type)
{
    return type == CONF_KEY_RSA2048 || type == CONF_KEY_RSA4096;
}

struct conf_cert {
    uint32_t index;           /* in conf.certs */
    const char *where;        /* its "file:line" */
    const char *name;         /* unique; from the first of names if not given */
    const char *const *names; /* host names, "*.example.com" among them; n_names > 0 */
    size_t n_names;
    enum conf_cert_source source;
    bool acme, self_signed;             /* how the file expresses source */
    const enum conf_key_type *key_type; /* of new orders; one after the load */
    size_t n_key_type;
    const char *const *challenges; /* like those of conf_acme */
    size_t n_challenges;           /* 0: those of conf_acme */
    const char *chain;             /* absolute PEM file; "" unless CONF_CERT_FILES */
    const char *key;               /* absolute PEM file; "" unless CONF_CERT_FILES */
    /* The certificate for the same names with the other key type, ECDSA or RSA: the client's
     * offer decides which one is used. NULL: none. */
    const struct conf_cert *dual;
};

#endif
