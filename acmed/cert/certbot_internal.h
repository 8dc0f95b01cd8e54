/* What the certbot*.c files share; nobody else includes this. */
#ifndef ACMED_CERT_CERTBOT_INTERNAL_H
#define ACMED_CERT_CERTBOT_INTERNAL_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

#include "acmed/cert/store.h"
#include "acmed/order/job.h"
#include "base/str.h"

enum {
    CERTBOT_NAME = 256,      /* bytes of a folder's name with its NUL */
    CERTBOT_LINEAGES = 1000, /* more are not looked at */
    CERTBOT_ACCOUNTS = 100,
    CERTBOT_FILE_MAX = 64 * 1024, /* bytes of its small files */
};

/* live/NAME, and what renewal/NAME.conf says of it ("": nothing). */
struct certbot_lineage {
    char name[CERTBOT_NAME];
    struct pem_pair pair;      /* empty when error tells why */
    char error[TABLE_REASON];  /* "": none */
    char server[JOB_URL_SIZE]; /* the CA's directory */
    char account[CERTBOT_NAME];
    char authenticator[64];
    bool taken; /* it has been told what became of it */
};

/* accounts/SERVER/ID of a CA of ours. */
struct certbot_account {
    const char *directory; /* of the configuration */
    char id[CERTBOT_NAME];
    char *key; /* PEM, a secret (key/secret.h); NULL: error tells why */
    size_t n_key;
    char url[JOB_URL_SIZE];
    char error[TABLE_REASON];
};

struct certbot {
    const struct conf *conf;
    const char *dir;
    struct certbot_lineage *lineage;
    struct certbot_account *account;
    size_t n_lineages, n_accounts;
    struct dirent **servers; /* what else stands in accounts: of other CAs */
    int n_servers;
};

/* ---- cert/certbot_json.c */

/* private_key.json as PEM, like jose_key_new(); NULL: not a key that we know. */
char *certbot_json_key(struct str text, size_t *n);
/* The account's URL of regr.json. false: there is none. */
bool certbot_json_url(struct str text, char *url, size_t cap);

/* ---- cert/certbot_read.c: accounts/SERVER of a directory's URL. Returns out. */
const char *certbot_server(const char *directory);

#endif
