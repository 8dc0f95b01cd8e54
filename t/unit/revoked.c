/* What was revoked does not go live again: known by what it is, wherever a copy stands. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/cert/revoked.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "t/unit/tap.h"

enum { WHEN = 1700000000, SUPERSEDED = 4 };

static char root[] = "/tmp/pasgate-revoked-XXXXXX";
static const uint64_t when = UINT64_C(1000) * WHEN;

/* The list belongs to another user: instead of libc's. */
static bool chmod_fails;

int fchmodat(int at, const char *path, mode_t mode, int flags)
{
    if (chmod_fails) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_fchmodat, at, path, mode, flags);
}

static struct pem_pair make(uint64_t at)
{
    static const char *const names[] = {"shop.test"};
    struct pem_pair pair;
    char error[TABLE_REASON];

    is_int(selfsigned_make(names, 1, at, &pair, error), 0, "a pair");
    return pair;
}

/* Another certificate for the same key. */
static struct pem_pair same_key(const struct pem_pair *of)
{
    BIO *chain = BIO_new_mem_buf(of->chain, (int)of->n_chain);
    BIO *key = BIO_new_mem_buf(of->key, (int)of->n_key), *out = BIO_new(BIO_s_mem());
    X509 *cert = PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    struct pem_pair pair = {0};
    char *text;
    long n;

    ok(cert && pkey && ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711) == 1 &&
           X509_sign(cert, pkey, EVP_sha256()) > 0 && PEM_write_bio_X509(out, cert) == 1,
       "another certificate with the same key");
    n = BIO_get_mem_data(out, &text);
    pair.chain = secret_copy(str_make(text, (size_t)n));
    pair.key = secret_copy(str_make(of->key, of->n_key));
    pair.n_chain = (size_t)n;
    pair.n_key = of->n_key;
    X509_free(cert);
    EVP_PKEY_free(pkey);
    BIO_free(chain);
    BIO_free(key);
    BIO_free(out);
    return pair;
}

/* The same certificate in a file that looks otherwise. */
static struct pem_pair dressed(const struct pem_pair *of)
{
    char *text = secret_new(of->n_chain + 8);
    struct pem_pair pair = {text, secret_copy(str_make(of->key, of->n_key)), 0, of->n_key};

    pair.n_chain = (size_t)snprintf(text, of->n_chain + 8, "mine:\n%s\n", of->chain);
    return pair;
}

static size_t lines(void)
{
    char path[128], text[4096];
    int fd;
    ssize_t n;
    size_t found = 0;

    snprintf(path, sizeof path, "%s/certs/.revoked", root);
    fd = open(path, O_RDONLY);
    n = read(fd, text, sizeof text);
    close(fd);
    for (ssize_t i = 0; i < n; i++)
        found += text[i] == '\n';
    return found;
}

static int mode_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static void test_by_certificate(struct store *store)
{
    struct pem_pair x = make(clock_wall_ms()), twin = same_key(&x), other = dressed(&x);
    uint32_t epoch = revoked_epoch();
    char path[128];

    is_int(revoked_at(store, NULL, 0, &x), 0, "nothing is revoked at first");
    is_int(revoked_add(store, &x, SUPERSEDED, when), 0, "it is");
    is_int(revoked_at(store, NULL, 0, &x), when, "and when");
    is_int(revoked_at(store, "b.test", 7, &other), when, "wherever it stands, however written");
    is_int(revoked_at(store, NULL, 0, &twin), 0, "its key is still good");
    ok(revoked_epoch() != epoch, "others may look again");
    is_int(revoked_add(store, &x, REVOKED_KEY_COMPROMISE, when + 5), 0, "then it is not");
    is_int(revoked_at(store, NULL, 0, &twin), when, "nor any certificate with it");
    is_int(revoked_add(store, &x, 0, when + 9), 0, "told once more");
    is_int(revoked_at(store, NULL, 0, &twin), when, "a key does not become good again");
    is_int(lines(), 1, "one line for it");
    snprintf(path, sizeof path, "%s/certs/.revoked", root);
    ok(mode_of(path) == 0640, "workers of the group may read it");
    pem_pair_release(&x);
    pem_pair_release(&twin);
    pem_pair_release(&other);
}

static void test_bounds(struct store *store)
{
    struct pem_pair y = make(clock_wall_ms()), old = make(when), z = make(clock_wall_ms());
    char path[128];
    int fd;

    uint32_t epoch = revoked_epoch();

    is_int(revoked_add(store, &old, SUPERSEDED, when), 0, "one that has ended");
    is_int(lines(), 1, "needs no line any more");
    is_int(revoked_epoch(), epoch, "so that two such do not displace each other for ever");
    is_int(revoked_add(store, &y, SUPERSEDED, when), 0, "and a good one");
    is_int(lines(), 2, "has one");
    is_int(revoked_add(store, &old, REVOKED_KEY_COMPROMISE, when), 0, "a key that others know");
    is_int(lines(), 3, "does not end");
    revoked_retry(store, 0);
    is_str(revoked_note(), "", "nothing is left to write");
    snprintf(path, sizeof path, "%s/certs/.revoked", root);
    fd = open(path, O_WRONLY | O_APPEND);
    ok(write(fd, "rubbish\nab=cd 1 2 3\n", 20) == 20, "a line that is damaged");
    close(fd);
    is_int(revoked_at(store, NULL, 0, &y), when, "the others count");
    is_int(revoked_add(store, &z, SUPERSEDED, when), 0, "one more");
    is_int(lines(), 4, "and it goes");
    is_int(revoked_at(store, NULL, 0, &y) + revoked_at(store, NULL, 0, &z), 2 * when, "both");
    pem_pair_release(&y);
    pem_pair_release(&z);
    pem_pair_release(&old);
}

/* Written by a predecessor, and not readable now (as with EIO): a link is not followed. */
static void test_unreadable(struct store *store)
{
    struct pem_pair x = make(clock_wall_ms()), y = make(clock_wall_ms());
    char list[128], kept[128], why[TABLE_NOTE];
    pid_t child = fork();
    int status = -1;

    if (child == 0)
        _exit(revoked_add(store, &x, SUPERSEDED, when) < 0);
    ok(waitpid(child, &status, 0) == child && status == 0, "a predecessor wrote the list");
    snprintf(list, sizeof list, "%s/certs/.revoked", root);
    snprintf(kept, sizeof kept, "%s/certs/kept", root);
    ok(rename(list, kept) == 0 && symlink("kept", list) == 0, "it cannot be read");
    ok(!revoked_readable(store, why) && strstr(why, "cannot read the list of revoked"),
       "which is told: %s", why);
    errno = 0;
    ok(revoked_add(store, &y, 0, when) < 0 && errno == ELOOP, "nothing is added to it");
    ok(unlink(list) == 0 && mkfifo(list, 0600) == 0, "it is a FIFO");
    ok(!revoked_readable(store, why) && strstr(why, "it is not a regular file"),
       "which is not an empty list: %s", why);
    uint32_t epoch = revoked_epoch();
    ok(rename(kept, list) == 0, "it can be read again");
    is_int(lines(), 1, "the entry is still there");
    is_int(revoked_at(store, NULL, 0, &y), when, "what could not be added counts all the same");
    ok(revoked_readable(store, why) && !*why, "no trouble");
    ok(revoked_epoch() != epoch, "live certificates are compared with it again");
    is_int(revoked_at(store, NULL, 0, &x), when, "the entry counts");
    revoked_retry(store, 20000);
    is_str(revoked_note(), "", "what is missing is written");
    is_int(lines(), 2, "and stands beside what was there");
    ok(unlink(list) == 0 && revoked_readable(store, why), "no list is an empty one");
    is_int(revoked_at(store, NULL, 0, &x) + revoked_at(store, NULL, 0, &y), 0,
           "nothing is on it");
    pem_pair_release(&x);
    pem_pair_release(&y);
}

/* A file system that is full, for example: here a directory is in the way of the new file. */
static void test_unwritable(struct store *store)
{
    struct pem_pair x = make(clock_wall_ms()), twin = same_key(&x);
    char way[128], list[128];

    snprintf(list, sizeof list, "%s/certs/.revoked", root);
    snprintf(way, sizeof way, "%s/certs/.new-.revoked", root);
    ok(mkdir(way, 0700) == 0 && revoked_add(store, &x, REVOKED_KEY_COMPROMISE, when) < 0,
       "it cannot be written");
    is_int(revoked_at(store, NULL, 0, &twin), when, "but counts");
    revoked_retry(store, 100000);
    ok(strstr(revoked_note(), "cannot write the list of revoked certificates"),
       "still not, which is told: %s", revoked_note());
    ok(rmdir(way) == 0, "now it can be");
    revoked_retry(store, 100001);
    ok(*revoked_note() && access(list, F_OK) < 0, "not at once");
    revoked_retry(store, 110000);
    is_str(revoked_note(), "", "after 10 s");
    is_int(lines(), 1, "it is written");
    ok(chmod(list, 0600) == 0 && revoked_at(store, NULL, 0, &x) == when &&
           mode_of(list) == 0640,
       "a mode that keeps workers out is corrected");
    chmod_fails = true;
    ok(chmod(list, 0600) == 0 && revoked_at(store, NULL, 0, &x) == when &&
           strstr(revoked_note(), "cannot set the mode of the list"),
       "if that fails, it is told: %s", revoked_note());
    ok(rename(list, way) == 0 && !revoked_at(store, NULL, 0, &x), "the list is moved away");
    is_str(revoked_note(), "", "there is nothing to tell of it");
    ok(rename(way, list) == 0 && revoked_at(store, NULL, 0, &x) == when && *revoked_note(),
       "it is back, and so is the trouble");
    chmod_fails = false;
    is_int(revoked_at(store, NULL, 0, &x), when, "it succeeds");
    is_str(revoked_note(), "", "and all is well");
    ok(unlink(list) == 0, "gone");
    is_int(revoked_at(store, NULL, 0, &x), 0, "then it is on no list");
    pem_pair_release(&x);
    pem_pair_release(&twin);
}

/* Killed between the mark and the list; the one that is marked is not live any more. */
static void test_marked(struct store *store)
{
    struct pem_pair x = make(clock_wall_ms()), y = make(clock_wall_ms());
    uint32_t first = store_write(store, "m.test", 0, &x, CERT_ACME);
    uint32_t second = store_write(store, "m.test", 0, &y, CERT_ACME);
    char way[128];

    is_int(store_set_current(store, "m.test", second), 0, "another one is live");
    ok(revoked_list_marked(store, "m.test"), "nothing is marked");
    is_int(store_mark_revoked(store, "m.test", first, REVOKED_KEY_COMPROMISE), 0,
           "an older is");
    snprintf(way, sizeof way, "%s/certs/.new-.revoked", root);
    ok(mkdir(way, 0700) == 0 && !revoked_list_marked(store, "m.test"),
       "while it is not on the list, it must be kept");
    ok(!revoked_list_marked(store, "m.test"), "asked again");
    ok(rmdir(way) == 0, "the list can be written");
    revoked_retry(store, 200000);
    ok(revoked_list_marked(store, "m.test"), "then it is");
    ok(revoked_at(store, NULL, 0, &x) > when, "since it was marked");
    is_int(revoked_at(store, NULL, 0, &y), 0, "the live one is not");
    ok(revoked_list_marked(store, "none.test"), "no such certificate");
    pem_pair_release(&x);
    pem_pair_release(&y);
}

/* A store of before, of which only the mark is there. */
static void test_mark(struct store *store)
{
    struct pem_pair x = make(clock_wall_ms());
    uint32_t generation = store_write(store, "a.test", 0, &x, CERT_ACME);

    is_int(revoked_at(store, "a.test", generation, &x), 0, "not marked");
    is_int(store_mark_revoked(store, "a.test", generation, REVOKED_KEY_COMPROMISE), 0,
           "marked");
    is_int(store_mark_revoked(store, "a.test", generation, 0), 0, "marked again");
    is_int(store_marked_reason(store, "a.test", generation), REVOKED_KEY_COMPROMISE,
           "the first reason stays, for the list");
    is_int(store_marked_reason(store, "a.test", generation + 1), 0, "of another one: none");
    ok(revoked_at(store, "a.test", generation, &x) > when, "by its own time");
    is_int(revoked_at(store, NULL, 0, &x), 0, "a copy is not known by that");
    pem_pair_release(&x);
}

/* One who only looks knows what is marked under any name, and writes nothing. */
static void test_looked(struct store *store)
{
    struct store looked = {.certs_fd = -1};
    struct pem_pair x = make(clock_wall_ms());
    uint32_t generation = store_write(store, "l.test", 0, &x, CERT_ACME);
    int listed = lines();

    is_int(store_mark_revoked(store, "l.test", generation, SUPERSEDED), 0, "only marked");
    store_peek(&looked, root);
    is_int(revoked_at(&looked, NULL, 0, &x), 0, "a copy is not known");
    revoked_list_all(&looked);
    ok(revoked_at(&looked, NULL, 0, &x), "after a look at all it is known");
    ok(!revoked_list_marked(&looked, "l.test"), "but is not on the list");
    is_int(lines(), listed, "the list is the owner's");
    store_release(&looked);
    pem_pair_release(&x);
}

int main(void)
{
    struct store store = {.certs_fd = -1}, looked = {.certs_fd = -1};
    struct pem_pair x;
    char clean[64];

    if (!mkdtemp(root) || store_open(&store, root) < 0)
        return 1;
    test_unreadable(&store);
    test_unwritable(&store);
    test_by_certificate(&store);
    test_bounds(&store);
    test_mark(&store);
    test_marked(&store);
    test_looked(&store);
    x = make(clock_wall_ms());
    store_peek(&looked, root);
    ok(revoked_add(&looked, &x, 0, when) < 0 && errno == EBUSY, "only the owner writes");
    is_int(revoked_add(&store, &x, 0, when), 0, "he does");
    is_int(revoked_at(&looked, NULL, 0, &x), when, "others read");
    pem_pair_release(&x);
    store_release(&looked);
    store_release(&store);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
