/* One certificate from the store to its row: what a successor takes over after its predecessor
 * was killed between two writes. A store that cannot be read: t/unit/take_over_unread.c. */
#include "t/unit/log_lines.h"
#include "t/unit/one_certificate.h"

enum { SUPERSEDED = 4 };

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
    log_back(before, log);
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

int main(void)
{
    one_open();
    test_same_key();
    test_host_died();
    test_marked();
    test_candidate();
    test_prune();
    test_revoked_live();
    test_renamed();
    one_close();
    return done();
}
