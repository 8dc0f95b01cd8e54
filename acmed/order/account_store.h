/* Accounts at CAs: STORE/accounts/CA/{key.pem, account}. CA is the URL of the ACME directory,
 * written as a file name, so that two CAs never share a key. next.pem is the key that will
 * replace key.pem (order/account_op.h). The CA's rate log (order/rate_log.h) is stored here
 * too. acmed only. */
#ifndef ACMED_ORDER_ACCOUNT_STORE_H
#define ACMED_ORDER_ACCOUNT_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "acmed/order/job.h"
#include "shm/certs.h"

enum { ACCOUNT_CONTACT = 321 }; /* an email address with its NUL, bounded as in net/ipc.h */

struct account {
    char *key; /* PEM, NUL-terminated secret (key/secret.h); NULL: none */
    size_t n_key;
    char url[JOB_URL_SIZE]; /* "": not known yet */
    bool told;              /* contact is what the CA was last told; false: that is not known */
    char contact[ACCOUNT_CONTACT];
};

/* The directory name for an ACME directory URL. Returns out. */
char *account_dir(char out[CERT_DIR_SIZE], const char *directory);

/* Opens the directory and creates it if needed. -1 with errno. */
int account_open(const char *store, const char *directory);

/* Reads what is stored. 0, with no key and no URL if nothing is stored; -1 with errno, EPROTO:
 * damaged. account_release() frees. */
int account_load(int dir, struct account *account);
void account_release(struct account *account);

/* The key is on disk when this returns 0, so that it is stored before the CA hears of it. */
int account_save_key(int dir, const char *key, size_t n_key);
/* An empty url forgets the URL; the key stays, and the CA finds the account by it. contact:
 * what the CA was told; NULL: not known. */
int account_save_url(int dir, const char *url, const char *contact);

/* The next key, as a secret; NULL: none. It is on disk when account_save_next() returns 0.
 * account_take_next() then makes it the key (0; or -1 with errno and nothing changed), or
 * account_drop_next() removes it. */
char *account_load_next(int dir, size_t *n);
int account_save_next(int dir, const char *key, size_t n_key);
int account_take_next(int dir);
void account_drop_next(int dir);

/* Renames the key of an account that the CA refuses to closed.pem, so that a new account is
 * created. 0, or -1 with errno. */
int account_lay_aside(int dir);

/* Forgets key and URL after the account was closed, so that a new account is created. */
void account_forget(int dir);

#endif
