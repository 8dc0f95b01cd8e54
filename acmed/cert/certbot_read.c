/* Reads certbot's tree. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/cert/certbot.h"
#include "acmed/cert/certbot_internal.h"
#include "acmed/key/secret.h"
#include "base/conf/conf.h"
#include "base/fd.h"

const char *certbot_server(const char *directory)
{
    static const char scheme[] = "https://";

    return directory +
           (strncmp(directory, scheme, sizeof scheme - 1) == 0 ? sizeof scheme - 1 : 0);
}

/* ---- files. Links are followed, because certbot's tree consists of them. */

static char *certbot_read_by(char *(*reads)(int fd, size_t max, size_t *n), const char *path,
                             size_t max, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd < 0 ? NULL : reads(fd, max, n);
    int error = errno;

    fd_close(&fd);
    errno = error;
    return text;
}

static char *certbot_read_pem(const char *path, size_t *n)
{
    return certbot_read_by(secret_read, path, STORE_PEM_MAX, n);
}

static char *read_small(const char *path, size_t *n)
{
    return certbot_read_by(fd_read_all, path, CERTBOT_FILE_MAX, n);
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && strlen(entry->d_name) < CERTBOT_NAME;
}

/* The names in a directory, sorted; the caller frees each. Returns n, or -1 with errno. */
static int certbot_read_list(const char *path, struct dirent ***names)
{
    *names = NULL;
    return scandir(path, names, no_dots, alphasort);
}

static void free_list(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* ---- live/NAME, renewal/NAME.conf */

/* Reads "key = value" lines, only known keys. */
static void read_hints(const char *dir, struct certbot_lineage *lineage)
{
    char path[PATH_MAX];
    size_t n = 0;
    char *text;
    struct str rest;

    snprintf(path, sizeof path, "%s/renewal/%s.conf", dir, lineage->name);
    text = read_small(path, &n);
    rest = str_make(text, n);
    while (rest.n) {
        struct str line = str_head(rest, str_index(rest, '\n'));
        size_t equals = str_index(line, '=');
        struct str key = str_trim(str_head(line, equals));
        struct str value = equals < line.n ? str_trim(str_skip(line, equals + 1)) : STR_EMPTY;

        rest = str_skip(rest, line.n < rest.n ? line.n + 1 : rest.n);
        if (str_eq(key, STR("server")))
            str_copy(lineage->server, sizeof lineage->server, value);
        else if (str_eq(key, STR("account")))
            str_copy(lineage->account, sizeof lineage->account, value);
        else if (str_eq(key, STR("authenticator")))
            str_copy(lineage->authenticator, sizeof lineage->authenticator, value);
    }
    free(text);
}

static void read_lineage(const char *dir, struct certbot_lineage *lineage)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/live/%s/fullchain.pem", dir, lineage->name);
    lineage->pair.chain = certbot_read_pem(path, &lineage->pair.n_chain);
    if (lineage->pair.chain) {
        snprintf(path, sizeof path, "%s/live/%s/privkey.pem", dir, lineage->name);
        lineage->pair.key = certbot_read_pem(path, &lineage->pair.n_key);
    }
    if (lineage->pair.key)
        return;
    snprintf(lineage->error, sizeof lineage->error, "cannot read %.100s: %s", path,
             strerror(errno));
    pem_pair_release(&lineage->pair);
}

/* -1: there is no such directory. */
static int read_lineages(struct certbot *c)
{
    char path[PATH_MAX];
    struct dirent **names;
    int n;

    snprintf(path, sizeof path, "%s/live", c->dir);
    n = certbot_read_list(path, &names);
    if (n < 0)
        return -1;
    for (int i = 0; i < n && c->n_lineages < CERTBOT_LINEAGES; i++) {
        struct certbot_lineage *lineage = &c->lineage[c->n_lineages];

        if (strcmp(names[i]->d_name, "README") == 0)
            continue;
        snprintf(lineage->name, sizeof lineage->name, "%s", names[i]->d_name);
        read_lineage(c->dir, lineage);
        read_hints(c->dir, lineage);
        c->n_lineages++;
    }
    free_list(names, n);
    return 0;
}

/* ---- accounts/SERVER/ID */

static void certbot_read_account(const char *dir, struct certbot_account *account)
{
    char path[PATH_MAX];
    size_t n = 0;
    char *text;

    snprintf(path, sizeof path, "%.3000s/%s/private_key.json", dir, account->id);
    text = certbot_read_by(secret_read, path, CERTBOT_FILE_MAX, &n);
    if (!text)
        snprintf(account->error, sizeof account->error, "cannot read private_key.json: %s",
                 strerror(errno));
    else if (!(account->key = certbot_json_key(str_make(text, n), &account->n_key)))
        snprintf(account->error, sizeof account->error,
                 "private_key.json is not an RSA, P-256 or P-384 key");
    secret_free(text);
    snprintf(path, sizeof path, "%.3000s/%s/regr.json", dir, account->id);
    n = 0;
    text = read_small(path, &n);
    if (text) /* without it, the CA finds the URL by the key */
        certbot_json_url(str_make(text, n), account->url, sizeof account->url);
    free(text);
}

static void read_accounts(struct certbot *c, const char *directory)
{
    char path[PATH_MAX];
    struct dirent **names;
    int n;

    snprintf(path, sizeof path, "%s/accounts/%s", c->dir, certbot_server(directory));
    n = certbot_read_list(path, &names);
    for (int i = 0; i < n && c->n_accounts < CERTBOT_ACCOUNTS; i++) {
        struct certbot_account *account = &c->account[c->n_accounts++];

        account->directory = directory;
        snprintf(account->id, sizeof account->id, "%s", names[i]->d_name);
        certbot_read_account(path, account);
    }
    free_list(names, n);
}

static void read_servers(struct certbot *c)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/accounts", c->dir);
    c->n_servers = certbot_read_list(path, &c->servers);
    if (c->n_servers < 0)
        c->n_servers = 0;
}

/* ---- interface */

struct certbot *certbot_read(const struct conf *conf, const char *dir)
{
    struct certbot *c = calloc(1, sizeof *c);
    int error = ENOMEM;

    secret_init(SECRET_HEAP_IMPORT);
    if (c) {
        c->conf = conf;
        c->dir = dir;
        c->lineage = calloc(CERTBOT_LINEAGES, sizeof *c->lineage);
        c->account = calloc(CERTBOT_ACCOUNTS, sizeof *c->account);
    }
    if (c && c->lineage && c->account) {
        if (read_lineages(c) == 0) {
            read_accounts(c, conf->acme.directory);
            read_servers(c);
            return c;
        }
        error = errno;
    }
    certbot_free(c);
    errno = error;
    return NULL;
}

void certbot_free(struct certbot *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_lineages; i++)
        pem_pair_release(&c->lineage[i].pair);
    for (size_t i = 0; i < c->n_accounts; i++)
        secret_free(c->account[i].key);
    free_list(c->servers, c->n_servers);
    free(c->lineage);
    free(c->account);
    free(c);
}
