/* One certificate from the store to its row: what a successor takes over after its predecessor
 * was killed between two writes, and what a candidate does when the store is in trouble. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/adopt.h"
#include "acmed/cert/certificate.h"
#include "acmed/cert/deploy.h"
#include "acmed/cert/request.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/tap.h"

enum { SUPERSEDED = 4 };

static char root[] = "/tmp/pasgate-take-over-XXXXXX";
static const char *const names[] = {"x.test"};
static const struct conf_cert cert = {
    .name = "x.test", .names = names, .n_names = 1, .source = CONF_CERT_ACME};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct heritage heritage = {.conf = &conf};
static struct store store = {.certs_fd = -1};

static X509 *read_cert(const struct pem_pair *pair)
{
    BIO *bio = BIO_new_mem_buf(pair->chain, (int)pair->n_chain);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return x;
}

static EVP_PKEY *read_key(const struct pem_pair *pair)
{
    BIO *bio = BIO_new_mem_buf(pair->key, (int)pair->n_key);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return key;
}

/* Signed by another key than its own; with `as`, for the key of that one. */
static struct pem_pair signed_by_ca(const struct pem_pair *as)
{
    struct pem_pair made, pair;
    char error[TABLE_REASON], *text;
    EVP_PKEY *ca = EVP_EC_gen("P-256"), *key;
    X509_NAME *issuer = X509_NAME_new();
    BIO *out = BIO_new(BIO_s_mem());
    X509 *x;

    if (selfsigned_make(names, 1, clock_wall_ms(), &made, error) < 0)
        abort();
    x = read_cert(&made);
    key = read_key(as ? as : &made);
    if (!X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1,
                                    -1, 0) ||
        !X509_set_issuer_name(x, issuer) || !X509_set_pubkey(x, key) ||
        X509_sign(x, ca, EVP_sha256()) <= 0 || !PEM_write_bio_X509(out, x))
        abort();
    pair.n_chain = (size_t)BIO_get_mem_data(out, &text);
    pair.chain = secret_copy(str_make(text, pair.n_chain));
    pair.n_key = as ? as->n_key : made.n_key;
    pair.key = secret_copy(str_make(as ? as->key : made.key, pair.n_key));
    pem_pair_release(&made);
    BIO_free(out);
    X509_NAME_free(issuer);
    X509_free(x);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca);
    return pair;
}

static const char *at(const char *below)
{
    static char full[2][512];
    static int turn;

    turn = !turn;
    snprintf(full[turn], sizeof full[turn], "%s/certs/%s", root, below);
    return full[turn];
}

static uint32_t put(const char *dir, const struct pem_pair *pair)
{
    return store_write(&store, dir, 0, pair, CERT_ACME);
}

static void empty_store(void)
{
    char clean[64];

    store_release(&store);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    if (system(clean) != 0 || store_open(&store, root) < 0)
        abort();
    memset(heritage.table, 0, sizeof *heritage.table);
    heritage.table->cert_rows = 1;
}

static void start(struct certificate *k, uint32_t generation)
{
    struct cert_row before = {.name = "x.test",
                              .source = CERT_ACME,
                              .generation = generation,
                              .not_after_wall_ms = UINT64_MAX};

    adopt_begin(&heritage);
    certificate_init(k, &heritage, &store, NULL, &cert, generation ? &before : NULL,
                     clock_mono_ms());
}

/* The key of the live one was revoked under another name, and the process that wrote that on
 * the list was killed before it marked this one. */
static void test_same_key(void)
{
    struct pem_pair old = signed_by_ca(NULL), live = signed_by_ca(NULL);
    struct pem_pair twin = signed_by_ca(&live);
    struct certificate k;

    empty_store();
    put("x.test", &old);
    is_int(put("x.test", &live), 2, "two generations");
    is_int(store_set_current(&store, "x.test", 2), 0, "the newer one is live");
    is_int(revoked_add(&store, &twin, REVOKED_KEY_COMPROMISE, 1000), 0, "its key is known");
    start(&k, 2);
    is_int(k.row.generation, 2, "workers serve it, and nothing better is there");
    is_int(k.row.revoked_wall_ms, 1000, "but it is to be replaced");
    ok(store_marked_revoked(&store, "x.test", 2), "also by the next successor");
    certificate_release(&k);
    ok(unlink(at("x.test/2/revoked")) == 0, "before it was live here");
    start(&k, 0);
    is_int(k.row.generation, 1, "it does not go live, but what is good does");
    certificate_release(&k);
    pem_pair_release(&old);
    pem_pair_release(&live);
    pem_pair_release(&twin);
}

/* The same, but the whole host died: no row of a predecessor tells what was live. */
static void test_host_died(void)
{
    struct pem_pair live = signed_by_ca(NULL), twin = signed_by_ca(&live), self, new;
    struct certificate k;
    char error[TABLE_REASON];

    if (selfsigned_make(names, 1, clock_wall_ms(), &self, error) < 0)
        abort();
    empty_store();
    is_int(store_write(&store, "x.test", 0, &self, CERT_SELF_SIGNED), 1, "a self-signed one");
    is_int(put("x.test", &live), 2, "and one of a CA");
    is_int(store_set_current(&store, "x.test", 2), 0, "which is live");
    is_int(revoked_add(&store, &twin, REVOKED_KEY_COMPROMISE, 1000), 0, "its key is known");
    start(&k, 0);
    is_int(k.row.generation, 2, "clients still get it, not the self-signed one");
    is_int(k.row.revoked_wall_ms, 1000, "it is to be replaced");
    ok(store_marked_revoked(&store, "x.test", 2), "which is marked");
    certificate_release(&k);

    ok(unlink(at("x.test/2/revoked")) == 0, "not marked");
    new = signed_by_ca(NULL);
    is_int(put("x.test", &new), 3, "another one that a CA signed");
    start(&k, 0);
    is_int(k.row.generation, 3, "is better");
    is_int(k.row.revoked_wall_ms, 0, "and good");
    certificate_release(&k);

    empty_store();
    put("x.test", &live);
    store_set_current(&store, "x.test", 1);
    put("elsewhere", &new);
    store_set_current(&store, "elsewhere", 1);
    is_int(revoked_add(&store, &twin, REVOKED_KEY_COMPROMISE, 1000), 0, "its key is known");
    start(&k, 0);
    is_int(k.row.generation, 2, "a good one is taken from a former name");
    is_int(k.row.revoked_wall_ms, 0, "and live");
    certificate_release(&k);
    adopt_end();

    empty_store();
    put("x.test", &live);
    put("x.test", &new);
    is_int(store_set_current(&store, "x.test", 1), 0, "one with that key");
    is_int(revoked_add(&store, &twin, REVOKED_KEY_COMPROMISE, 1000), 0, "its key is known");
    is_int(revoked_add(&store, &new, SUPERSEDED, 1000), 0, "the other one was revoked");
    start(&k, 0);
    is_int(k.row.generation, 1, "of two the one that was live");
    is_int(k.row.key_known, 1, "which was not revoked itself");
    certificate_release(&k);
    ok(unlink(at("x.test/1/revoked")) == 0, "not marked");
    is_int(revoked_add(&store, &live, SUPERSEDED, 1000), 0, "it was revoked itself");
    start(&k, 0);
    is_int(k.row.source, CERT_NONE, "a copy does not go live");
    certificate_release(&k);
    pem_pair_release(&live);
    pem_pair_release(&twin);
    pem_pair_release(&self);
    pem_pair_release(&new);
}

/* Killed between the mark and the list, when it was not live any more. */
static void test_marked(void)
{
    struct pem_pair old = signed_by_ca(NULL), bad = {"none", "none", 4, 4};
    struct certificate k;

    empty_store();
    put("x.test", &old);
    is_int(store_mark_revoked(&store, "x.test", 1, SUPERSEDED), 0, "marked");
    put("x.test", &bad);
    is_int(store_set_current(&store, "x.test", 2), 0, "the live one is damaged");
    start(&k, 0);
    is_int(k.row.source, CERT_NONE, "what is marked does not go live instead");
    certificate_release(&k);
    pem_pair_release(&old);
}

/* What the last request was told. */
static const char *said(const struct certificate *k)
{
    for (int i = 0; i < CERT_REPLIES; i++)
        if (k->row.requests && k->row.replies[i].number == k->row.requests)
            return k->row.replies[i].text;
    return "";
}

/* Lines of the log that have this text; reads it from the start. */
static int logged(int fd, const char *text)
{
    static char all[16384];
    ssize_t n = pread(fd, all, sizeof all - 1, 0);
    int found = 0;

    all[n > 0 ? n : 0] = '\0';
    for (const char *p = all; (p = strstr(p, text)) != NULL; p++)
        found++;
    return found;
}

static int log_to_file(int *before)
{
    char path[] = "/tmp/pasgate-take-over-log-XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    *before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    return fd;
}

static void log_back(int before)
{
    dup2(before, STDERR_FILENO);
    close(before);
}

/* A new pair, not live yet. */
static void candidate(struct certificate *k, const struct pem_pair *pair)
{
    static const struct conf_listen tls = {.tls = true};
    struct pem_info info;
    char error[TABLE_REASON];

    conf.listen = &tls;
    conf.n_listen = 1;
    is_int(pem_check(pair, names, 1, clock_wall_ms(), &info, error), 0, "a good pair");
    ok(deploy_offer(k, pair, CERT_ACME, &info, CERTIFICATE_FILES) && deploy_waits(k),
       "it waits for its test");
}

/* A worker has tested it. */
static void good(struct certificate *k, uint64_t now_ms)
{
    const struct child_row child = {
        .kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 1};
    const struct cert_finding finding = {.candidate = k->next.proof.candidate,
                                         .proof = CERT_PROOF_GOOD};
    struct table *table = heritage.table;

    heritage.doorbell[0] = -1;
    child_publish(&table->child[0], &child);
    atomic_store(&table->worker[0].incarnation, 1);
    deploy_look(k, now_ms); /* asks it */
    atomic_store(&table->worker[0].cert_proof[0], cert_finding_pack(&finding));
    deploy_look(k, now_ms);
    conf.n_listen = 0;
}

static void test_candidate(void)
{
    struct pem_pair live = signed_by_ca(NULL), new = signed_by_ca(NULL);
    struct certificate k;
    int before, log = log_to_file(&before);

    empty_store();
    put("x.test", &live);
    start(&k, 0);
    is_int(k.row.generation, 1, "one is live");

    candidate(&k, &new);
    ok(rename(at("x.test/2"), at("x.test/.gone")) == 0, "its directory is gone");
    good(&k, 1000);
    ok(!deploy_waits(&k) && k.row.generation == 1, "it is dropped");
    is_int(store_current(&store, "x.test"), 1, "the live one stays");
    is_int(logged(log, "gone from the store"), 1, "which is told");

    conf.acme.hook = "/bin/true";
    candidate(&k, &new);
    ok(mkdir(at("x.test/.new-current"), 0700) == 0 &&
           mkdir(at("x.test/3/.new-mark"), 0700) == 0,
       "the store cannot be written to");
    good(&k, 1000);
    for (uint64_t now = 11000; now < 60000; now += 10000)
        deploy_look(&k, now);
    ok(deploy_waits(&k), "it waits");
    is_int(logged(log, "acme.hook is to be called"), 1, "which is told once");
    is_int(logged(log, "cannot write to the store"), 1, "and this");
    ok(rmdir(at("x.test/.new-current")) == 0, "it can be");
    deploy_look(&k, 70000);
    is_int(k.row.generation, 3, "it is live");
    is_int(logged(log, "can be written to again"), 1, "which is told");
    conf.acme.hook = "";
    log_back(before);
    close(log);
    certificate_release(&k);
    pem_pair_release(&live);
    pem_pair_release(&new);
}

/* An older generation is marked, and the list cannot be written. */
static void test_prune(void)
{
    struct pem_pair pair[6];
    struct certificate k;

    empty_store();
    for (int i = 0; i < 6; i++)
        pair[i] = signed_by_ca(NULL);
    for (int i = 0; i < 4; i++)
        put("x.test", &pair[i]);
    store_set_current(&store, "x.test", 4);
    start(&k, 0);
    is_int(store_mark_revoked(&store, "x.test", 1, SUPERSEDED), 0, "the oldest is marked");
    ok(mkdir(at(".new-.revoked"), 0700) == 0, "the list cannot be written");
    candidate(&k, &pair[4]);
    good(&k, 1000);
    is_int(k.row.generation, 5, "another one is live");
    ok(store_has(&store, "x.test", 1), "the mark is kept with what it is about");
    ok(rmdir(at(".new-.revoked")) == 0, "the list can be written");
    revoked_retry(&store, 1000000);
    candidate(&k, &pair[5]);
    good(&k, 1000);
    ok(!store_has(&store, "x.test", 1), "it is not needed any more");
    ok(revoked_at(&store, NULL, 0, &pair[0]), "because the list has it");
    certificate_release(&k);
    for (int i = 0; i < 6; i++)
        pem_pair_release(&pair[i]);
}

/* The live one cannot be read when another one with its key is revoked, nor marked then. */
static void test_revoked_live(void)
{
    struct pem_pair live = signed_by_ca(NULL), twin = signed_by_ca(&live);
    struct certificate k;

    empty_store();
    put("x.test", &live);
    start(&k, 0);
    is_int(k.row.revoked_wall_ms, 0, "it is good");
    ok(rename(at("x.test/1"), at("x.test/.away")) == 0, "for a moment it cannot be read");
    is_int(revoked_add(&store, &twin, REVOKED_KEY_COMPROMISE, 1000), 0, "its key is known");
    request_tick(&k, 0);
    ok(rename(at("x.test/.away"), at("x.test/1")) == 0, "it can be read");
    ok(mkdir(at("x.test/1/.new-mark"), 0700) == 0, "but not marked");
    request_tick(&k, 0);
    is_int(k.row.revoked_wall_ms, 1000, "it is to be replaced");
    is_int(k.row.key_known, 1, "because of its key only");
    ok(!store_marked_revoked(&store, "x.test", 1), "which the store does not have yet");
    ok(rmdir(at("x.test/1/.new-mark")) == 0, "it can be marked");
    request_tick(&k, clock_mono_ms());
    ok(!store_marked_revoked(&store, "x.test", 1), "not at once");
    request_tick(&k, clock_mono_ms() + CERTIFICATE_RETRY_MS);
    ok(store_marked_revoked(&store, "x.test", 1), "then it is");
    certificate_release(&k);
    pem_pair_release(&live);
    pem_pair_release(&twin);
}

/* Renamed, while the list cannot be read. */
static void test_renamed(void)
{
    struct pem_pair pair = signed_by_ca(NULL);
    struct certificate k;

    empty_store();
    put("elsewhere", &pair);
    store_set_current(&store, "elsewhere", 1);
    ok(symlink("nowhere", at(".revoked")) == 0, "the list cannot be read");
    start(&k, 0);
    certificate_tick(&k, clock_mono_ms());
    adopt_end();
    is_int(k.row.source, CERT_SELF_SIGNED, "what has another name may be revoked");
    certificate_tick(&k, clock_mono_ms());
    adopt_end();
    ok(unlink(at(".revoked")) == 0, "it can be read");
    certificate_tick(&k, clock_mono_ms());
    is_int(k.row.source, CERT_ACME, "it is taken");
    adopt_end();
    certificate_release(&k);
    pem_pair_release(&pair);
}

/* A file that is there and cannot be read; also not by root, for whom modes do not count. */
static void block(const char *file)
{
    char aside[128];

    snprintf(aside, sizeof aside, "%s.aside", file);
    ok(rename(at(file), at(aside)) == 0 && mknod(at(file), S_IFSOCK | 0600, 0) == 0,
       "%s cannot be read", file);
}

static void unblock(const char *file)
{
    char aside[128];

    snprintf(aside, sizeof aside, "%s.aside", file);
    ok(rename(at(aside), at(file)) == 0, "%s can be read again", file);
}

static void many_ticks(struct certificate *k)
{
    for (uint64_t ms = 0; ms < 600000; ms += 1000)
        certificate_tick(k, clock_mono_ms() + ms);
}

static bool is_noted(const struct certificate *k, const char *text)
{
    for (int i = 0; i < TABLE_NOTES; i++)
        if (strstr(k->row.note[i], text))
            return true;
    return strstr(k->row.error, text) != NULL;
}

/* Generation 1 is self-signed or of a CA; 2 is of a CA, and live. */
static void two_generations(const struct pem_pair *live, const struct pem_pair *old)
{
    struct pem_pair self;
    char error[TABLE_REASON];

    if (selfsigned_make(names, 1, clock_wall_ms(), &self, error) < 0)
        abort();
    empty_store();
    store_write(&store, "x.test", 0, old ? old : &self, old ? CERT_ACME : CERT_SELF_SIGNED);
    is_int(put("x.test", live), 2, "two generations");
    is_int(store_set_current(&store, "x.test", 2), 0, "the newer one is live");
    pem_pair_release(&self);
}

static void still(const struct certificate *k, uint32_t generation)
{
    uint32_t newest = 0;

    is_int(k->row.generation, generation, "the row says %u", generation);
    is_int(store_current(&store, "x.test"), 2, "the link stays");
    store_list(&store, "x.test", &newest, 1);
    is_int(newest, 2, "nothing is made in its place");
}

/* A successor starts while the disk cannot be read. */
static void test_unread(const char *file)
{
    struct pem_pair live = signed_by_ca(NULL);
    struct certificate k;

    two_generations(&live, NULL);
    block(file);
    start(&k, 2);
    still(&k, 2);
    is_int(k.row.source, CERT_ACME, "it is still the CA's");
    ok(k.settled, "which is all that can be done");
    is_int(k.row.trouble, CERT_STORE, "the status is bad");
    ok(is_noted(&k, file) && is_noted(&k, "generation 2 stays live"), "and tells which file");
    many_ticks(&k);
    still(&k, 2);
    certificate_request(&k, CERT_ROLLBACK, 0, 1, 0);
    ok(strstr(said(&k), file) != NULL, "no rollback, for that reason");
    unblock(file);
    certificate_tick(&k, clock_mono_ms() + CERTIFICATE_UNREAD_MS);
    still(&k, 2);
    ok(!is_noted(&k, "cannot read") && k.covers, "it is read, and known to be good");
    is_int(k.row.trouble, CERT_HINT, "all is well");
    certificate_release(&k);
    pem_pair_release(&live);
}

/* The same after a restart: no row of a predecessor, nothing in the workers' memory. */
static void test_unread_first(void)
{
    struct pem_pair live = signed_by_ca(NULL), old = signed_by_ca(NULL);
    struct certificate k;

    two_generations(&live, NULL);
    block("x.test/2/key.pem");
    start(&k, 0);
    still(&k, 0);
    ok(k.settled && *k.row.error, "workers do not wait for it");
    many_ticks(&k);
    still(&k, 0);
    ok(is_noted(&k, "x.test/2/key.pem"), "the row tells why");
    unblock("x.test/2/key.pem");
    certificate_request(&k, CERT_ROLLBACK, 0, 1, 0);
    still(&k, 2);
    ok(!is_noted(&k, "cannot read"), "a request looks at once");
    certificate_release(&k);

    two_generations(&live, &old);
    block("x.test/2/fullchain.pem");
    start(&k, 0);
    still(&k, 1);
    ok(is_noted(&k, "generation 1 stays live"), "an older one is better than none");
    many_ticks(&k);
    still(&k, 1);
    unblock("x.test/2/fullchain.pem");
    certificate_tick(&k, clock_mono_ms() + CERTIFICATE_UNREAD_MS);
    still(&k, 2);
    certificate_release(&k);
    pem_pair_release(&live);
    pem_pair_release(&old);
}

/* It was live, and is deleted while it cannot be read: it is not waited for. */
static void test_unread_gone(void)
{
    struct pem_pair live = signed_by_ca(NULL);
    struct certificate k;

    two_generations(&live, NULL);
    block("x.test/2/key.pem");
    start(&k, 2);
    ok(unlink(at("x.test/2/key.pem")) == 0, "its key is gone");
    certificate_tick(&k, clock_mono_ms() + CERTIFICATE_UNREAD_MS);
    ok(!is_noted(&k, "cannot read"), "that is not waited for");
    certificate_release(&k);
    pem_pair_release(&live);
}

static void test_rollback_unread(void)
{
    struct pem_pair live = signed_by_ca(NULL), old = signed_by_ca(NULL);
    struct certificate k;

    two_generations(&live, &old);
    start(&k, 2);
    block("x.test/1/key.pem");
    certificate_request(&k, CERT_ROLLBACK, 0, 1, 0);
    ok(strstr(said(&k), "no older generation that can be read and is still good (1 cannot "
                        "be read: ") != NULL,
       "the older one may be good: %s", said(&k));
    certificate_release(&k);
    pem_pair_release(&live);
    pem_pair_release(&old);
}

int main(void)
{
    char clean[64];

    heritage.table = aligned_alloc(TABLE_PAGE, sizeof *heritage.table);
    conf.acme = (struct conf_acme){
        .store = mkdtemp(root), .hook = "", .directory = "", .email = "", .profile = ""};
    if (!heritage.table)
        return 1;
    test_same_key();
    test_host_died();
    test_marked();
    test_candidate();
    test_prune();
    test_revoked_live();
    test_renamed();
    test_unread("x.test/2/key.pem");
    test_unread("x.test/2/fullchain.pem");
    test_unread("x.test/2/meta");
    test_unread_first();
    test_unread_gone();
    test_rollback_unread();
    store_release(&store);
    free(heritage.table);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
