/* Accounts at CAs: STORE/accounts/CA/{key.pem, account}. CA is the directory's URL as a folder
 * name, so that two CAs never share a key. next.pem is the key that is to take the other's
 * place (errand.h). Here is also the CA's ledger (ledger.h). acmed only.
 */
#ifndef ACMED_ACCOUNT_STORE_H
#define ACMED_ACCOUNT_STORE_H

#include <stddef.h>

#include "acmed/job.h"
#include "shm/certs.h"

struct account {
    char *key; /* PEM, a secret (secret.h) with a NUL behind; NULL: none */
    size_t n_key;
    char url[JOB_URL_SIZE]; /* "": the CA has not told it yet */
};

/* The folder of a directory's URL. Returns out. */
char *account_folder(char out[CERT_FOLDER_SIZE], const char *directory);

/* Opens, and makes, the folder. -1 with errno. */
int account_open(const char *store, const char *directory);

/* Reads what is there: 0, with no key and no URL when there is nothing; -1 with errno, EPROTO:
 * damaged. account_release() frees. */
int account_load(int folder, struct account *account);
void account_release(struct account *account);

/* The key is on disk when this returns 0: before the CA hears of it. */
int account_save_key(int folder, const char *key, size_t n_key);
/* "" forgets it; the key stays, by which the CA finds the account again. */
int account_save_url(int folder, const char *url);

/* The next key: a secret; NULL: there is none. On disk when save returns 0; then it
 * either becomes the key (0, or -1 with errno and all as it was), or is dropped. */
char *account_load_next(int folder, size_t *n);
int account_save_next(int folder, const char *key, size_t n_key);
int account_take_next(int folder);
void account_drop_next(int folder);

/* The account was closed: forgets key and URL, so that another one is made. */
void account_forget(int folder);

#endif
