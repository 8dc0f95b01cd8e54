/* Shared by the certbot*.c files; no other file includes this. */
#ifndef ACMED_CERT_CERTBOT_INTERNAL_H
#define ACMED_CERT_CERTBOT_INTERNAL_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

#include "acmed/cert/store.h"
#include "acmed/order/job.h"
#include "base/str.h"

enum {
    CERTBOT_NAME = 256,      /* bytes of a directory's name with its NUL */
    CERTBOT_LINEAGES = 1000, /* further ones are ignored */
    CERTBOT_ACCOUNTS = 100,
    CERTBOT_FILE_MAX = 64 * 1024, /* bytes of certbot's small files */
};

/* live/NAME, and what renewal/NAME.conf says about it ("": nothing). */
struct certbot_lineage {
    char name[CERTBOT_NAME];
    struct pem_pair pair;      /* empty when error is set */
    char error[TABLE_REASON];  /* "": none */
    char server[JOB_URL_SIZE]; /* the CA's directory URL */
    char account[CERTBOT_NAME];
    char authenticator[64];
    bool taken; /* it was reported what became of it */
};

/* accounts/SERVER/ID of a configured CA. */
struct certbot_account {
    const char *directory; /* URL, from the configuration */
    char id[CERTBOT_NAME];
    char *key; /* PEM, a secret (key/secret.h); NULL: see error */
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
    struct dirent **servers; /* other directories in accounts: those of other CAs */
    int n_servers;
};

/* ---- cert/certbot_json.c */

/* Converts private_key.json to PEM, like jose_key_new(); NULL: not a supported key. */
char *certbot_json_key(struct str text, size_t *n);
/* Reads the account's URL from regr.json. false: there is none. */
bool certbot_json_url(struct str text, char *url, size_t cap);

/* ---- cert/certbot_read.c: the SERVER part of accounts/SERVER for a directory URL. Returns
 * out. */
const char *certbot_server(const char *directory);

#endif
