/* Accounts at CAs: STORE/accounts/CA/{key.pem, account}. CA is the directory's URL as a folder
 * name, so that two CAs never share a key. next.pem is the key that is to take the other's
 * place (order/account_op.h). Here is also the CA's ledger (order/rate_log.h). acmed only.
 */
#ifndef ACMED_ORDER_ACCOUNT_STORE_H
#define ACMED_ORDER_ACCOUNT_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "acmed/order/job.h"
#include "shm/certs.h"

enum { ACCOUNT_CONTACT = 321 }; /* an address for mail, as net/ipc.h bounds it, with its NUL */

struct account {
    char *key; /* PEM, a secret (key/secret.h) with a NUL behind; NULL: none */
    size_t n_key;
    char url[JOB_URL_SIZE]; /* "": the CA has not told it yet */
    bool told;              /* what the CA was told last is known: contact */
    char contact[ACCOUNT_CONTACT];
};

/* The folder of a directory's URL. Returns out. */
char *account_dir(char out[CERT_DIR_SIZE], const char *directory);

/* Opens, and makes, the folder. -1 with errno. */
int account_open(const char *store, const char *directory);

/* Reads what is there: 0, with no key and no URL when there is nothing; -1 with errno, EPROTO:
 * damaged. account_release() frees. */
int account_load(int dir, struct account *account);
void account_release(struct account *account);

/* The key is on disk when this returns 0: before the CA hears of it. */
int account_save_key(int dir, const char *key, size_t n_key);
/* "" forgets it; the key stays, by which the CA finds the account again. contact: what the CA
 * was told; NULL: not known. */
int account_save_url(int dir, const char *url, const char *contact);

/* The next key: a secret; NULL: there is none. On disk when save returns 0; then it
 * either becomes the key (0, or -1 with errno and all as it was), or is dropped. */
char *account_load_next(int dir, size_t *n);
int account_save_next(int dir, const char *key, size_t n_key);
int account_take_next(int dir);
void account_drop_next(int dir);

/* The key of an account that the CA refuses becomes closed.pem, so that another one is made. 0,
 * or -1 with errno. */
int account_lay_aside(int dir);

/* The account was closed: forgets key and URL, so that another one is made. */
void account_forget(int dir);

#endif
