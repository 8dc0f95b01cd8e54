#include "acmed/order/account_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/key/secret.h"
#include "acmed/order/kvfile.h"
#include "base/fd.h"

static const char key_name[] = "key.pem";
static const char next_name[] = "next.pem";
static const char closed_name[] = "closed.pem";
static const char text_name[] = "account";

char *account_dir(char out[CERT_DIR_SIZE], const char *directory)
{
    static const char scheme[] = "https://";

    if (strncmp(directory, scheme, sizeof scheme - 1) == 0)
        directory += sizeof scheme - 1;
    return cert_dir(out, directory);
}

int account_open(const char *store, const char *directory)
{
    char dir[CERT_DIR_SIZE];

    return kvfile_open(store, "accounts", account_dir(dir, directory), true);
}

static int account_store_parse(struct account *account, const char *text, size_t n)
{
    struct str rest = str_make(text, n), key, value;
    int got;

    while ((got = kvfile_line(&rest, &key, &value)) > 0) {
        bool contact = str_eq(key, STR("contact"));

        if (!(contact ? kvfile_text(value, account->contact, sizeof account->contact)
                      : str_eq(key, STR("url")) &&
                            kvfile_text(value, account->url, sizeof account->url)))
            return -1;
        account->told |= contact;
    }
    return got;
}

int account_load(int dir, struct account *account)
{
    size_t n = 0;
    char *text;
    int rc = 0;

    *account = (struct account){0};
    account->key = kvfile_read_secret(dir, key_name, &account->n_key);
    if (!account->key)
        return errno == ENOENT ? 0 : -1; /* a URL without its key is useless */
    text = kvfile_read(dir, text_name, KVFILE_TEXT_MAX, &n);
    if (text)
        rc = account_store_parse(account, text, n);
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

int account_save_key(int dir, const char *key, size_t n_key)
{
    return kvfile_write(dir, key_name, key, n_key);
}

int account_save_url(int dir, const char *url, const char *contact)
{
    char text[JOB_URL_SIZE + ACCOUNT_CONTACT + 32];
    int n = snprintf(text, sizeof text, contact ? "url=%s\ncontact=%.320s\n" : "url=%s\n", url,
                     contact);

    if (*url == '\0') {
        kvfile_remove(dir, text_name);
        return 0;
    }
    return kvfile_write(dir, text_name, text, (size_t)n);
}

char *account_load_next(int dir, size_t *n)
{
    return kvfile_read_secret(dir, next_name, n);
}

int account_save_next(int dir, const char *key, size_t n_key)
{
    return kvfile_write(dir, next_name, key, n_key);
}

int account_take_next(int dir)
{
    if (renameat(dir, next_name, dir, key_name) < 0)
        return -1;
    fsync(dir);
    return 0;
}

void account_drop_next(int dir)
{
    kvfile_remove(dir, next_name);
}

int account_lay_aside(int dir)
{
    if (renameat(dir, key_name, dir, closed_name) < 0 && errno != ENOENT)
        return -1;
    kvfile_remove(dir, text_name);
    return fd_sync_dir(dir);
}

void account_forget(int dir)
{
    kvfile_remove(dir, text_name);
    kvfile_remove(dir, key_name);
}
