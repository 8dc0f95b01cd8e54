#include "acmed/account_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/record.h"
#include "acmed/secret.h"

static const char key_name[] = "key.pem";
static const char next_name[] = "next.pem";
static const char text_name[] = "account";

char *account_folder(char out[CERT_FOLDER_SIZE], const char *directory)
{
    static const char scheme[] = "https://";

    if (strncmp(directory, scheme, sizeof scheme - 1) == 0)
        directory += sizeof scheme - 1;
    return cert_folder(out, directory);
}

int account_open(const char *store, const char *directory)
{
    char folder[CERT_FOLDER_SIZE];

    return record_open(store, "accounts", account_folder(folder, directory), true);
}

static int parse(struct account *account, const char *text, size_t n)
{
    struct str rest = str_make(text, n), key, value;
    int got;

    while ((got = record_line(&rest, &key, &value)) > 0)
        if (!str_eq(key, STR("url")) || !record_text(value, account->url, sizeof account->url))
            return -1;
    return got;
}

int account_load(int folder, struct account *account)
{
    size_t n = 0;
    char *text;
    int rc = 0;

    *account = (struct account){0};
    account->key = record_read_secret(folder, key_name, &account->n_key);
    if (!account->key)
        return errno == ENOENT ? 0 : -1; /* a URL without its key is of no use */
    text = record_read(folder, text_name, RECORD_TEXT_MAX, &n);
    if (text)
        rc = parse(account, text, n);
    free(text);
    if (rc < 0)
        account->url[0] = '\0';
    errno = EPROTO;
    return rc;
}

void account_release(struct account *account)
{
    secret_free(account->key);
    *account = (struct account){0};
}

int account_save_key(int folder, const char *key, size_t n_key)
{
    return record_write(folder, key_name, key, n_key);
}

int account_save_url(int folder, const char *url)
{
    char text[JOB_URL_SIZE + 8];
    int n = snprintf(text, sizeof text, "url=%s\n", url);

    if (*url == '\0') {
        record_remove(folder, text_name);
        return 0;
    }
    return record_write(folder, text_name, text, (size_t)n);
}

char *account_load_next(int folder, size_t *n)
{
    return record_read_secret(folder, next_name, n);
}

int account_save_next(int folder, const char *key, size_t n_key)
{
    return record_write(folder, next_name, key, n_key);
}

int account_take_next(int folder)
{
    if (renameat(folder, next_name, folder, key_name) < 0)
        return -1;
    fsync(folder);
    return 0;
}

void account_drop_next(int folder)
{
    record_remove(folder, next_name);
}

void account_forget(int folder)
{
    record_remove(folder, text_name);
    record_remove(folder, key_name);
}
