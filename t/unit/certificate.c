/* A certificate of configured files, and how one candidate ends: what is read, offered and
 * ordered again, and what the row and the log say. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/adopt.h"
#include "acmed/cert/certificate.h"
#include "acmed/cert/deploy.h"
#include "acmed/cert/row.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/order/kvfile.h"
#include "acmed/order/order_store.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/log_lines.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-certificate-XXXXXX";
static char chain[128], key[128];
static const char *const names[] = {"x.test"};
static const struct conf_cert cert = {.name = "x.test",
                                      .names = names,
                                      .n_names = 1,
                                      .source = CONF_CERT_FILES,
                                      .chain = chain,
                                      .key = key};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct heritage heritage = {.conf = &conf};
static struct store store = {.certs_fd = -1};
static uint64_t now_ms;

static const char *at(const char *below)
{
    static char full[2][512];
    static int turn;

    turn = !turn;
    snprintf(full[turn], sizeof full[turn], "%s/%s", root, below);
    return full[turn];
}

static void spew(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (write(fd, text, n) != (ssize_t)n)
        fail("%s", path);
    close(fd);
}

static struct pem_pair make(void)
{
    struct pem_pair pair;
    char error[TABLE_REASON];

    if (selfsigned_make(names, 1, clock_wall_ms(), &pair, error) < 0)
        abort();
    return pair;
}

static void replace_files(void)
{
    struct pem_pair pair = make();

    spew(chain, pair.chain, pair.n_chain);
    spew(key, pair.key, pair.n_key);
    pem_pair_release(&pair);
}

static void empty_store(void)
{
    char clean[128];

    store_release(&store);
    snprintf(clean, sizeof clean, "rm -rf %s/certs %s/orders", root, root);
    if (system(clean) != 0 || store_open(&store, root) < 0)
        abort();
    memset(heritage.table, 0, sizeof *heritage.table);
    heritage.table->cert_rows = 1;
    conf.n_listen = 0;
}

static void start(struct certificate *k)
{
    empty_store();
    adopt_begin(&heritage);
    now_ms = clock_mono_ms();
    certificate_init(k, &heritage, &store, NULL, &cert, NULL, now_ms);
}

/* One look at the files, the supervisor's part included. */
static void look(struct certificate *k)
{
    now_ms += CERTIFICATE_RETRY_MS;
    certificate_tick(k, now_ms);
    for (uint32_t which = PEM_CHAIN; which < IMPORT_FILES; which++) {
        const struct message reply = {.type = MESSAGE_OPEN_PEM, .which = which};
        int fd = open(which == PEM_CHAIN ? chain : key, O_RDONLY);

        certificate_reply(k, &reply, &fd, now_ms);
        if (fd >= 0)
            close(fd);
    }
}

/* From now on a worker tests each candidate. */
static void with_worker(void)
{
    static const struct conf_listen tls = {.tls = true};

    conf.listen = &tls;
    conf.n_listen = 1;
}

static void tested(struct certificate *k, enum cert_proof proof)
{
    const struct child_row child = {
        .kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 1};
    const struct cert_finding finding = {.candidate = k->next.proof.candidate, .proof = proof};
    struct table *table = heritage.table;

    heritage.doorbell[0] = -1;
    child_publish(&table->child[0], &child);
    atomic_store(&table->worker[0].incarnation, 1);
    deploy_look(k, now_ms); /* asks it */
    atomic_store(&table->worker[0].cert_proof[0], cert_finding_pack(&finding));
    deploy_look(k, now_ms);
}

/* The files did not change, and their generation was deleted from the store. */
static void test_deleted(void)
{
    struct certificate k;

    replace_files();
    start(&k);
    look(&k);
    ok(k.row.source == CERT_FILE && k.row.generation == 1, "the files are live");
    look(&k);
    is_int(k.row.generation, 1, "they are not taken again");
    ok(rename(at("certs/x.test/1"), at("gone-1")) == 0, "the generation is deleted");
    certificate_look_at_store(&k, "", now_ms);
    ok(k.lost, "which is noticed");
    look(&k);
    ok(!k.lost && k.row.source == CERT_FILE, "the same files are read again");
    ok(store_has(&store, "x.test", k.row.generation), "and the store has them");
    certificate_release(&k);
}

/* The same for one that a worker tests. */
static void test_candidate_deleted(void)
{
    struct certificate k;
    uint32_t candidate;

    replace_files();
    start(&k);
    look(&k);
    with_worker();
    replace_files();
    k.hook_calls.begun = 2; /* calls about the one that is live */
    look(&k);
    ok(deploy_waits(&k), "new files wait for their test");
    candidate = k.next.proof.candidate;
    ok(rename(at("certs/x.test/2"), at("gone-2")) == 0, "deleted meanwhile");
    tested(&k, CERT_PROOF_GOOD);
    ok(!deploy_waits(&k) && k.row.generation == 1, "it is dropped");
    look(&k);
    ok(deploy_waits(&k) && k.next.proof.candidate != candidate, "the files are offered again");
    tested(&k, CERT_PROOF_GOOD);
    is_int(k.row.generation, k.highest, "and live");
    is_int(k.hook_calls.begun, 0, "calls of the hook are counted anew");

    replace_files();
    look(&k);
    tested(&k, CERT_PROOF_LOAD);
    ok(!deploy_waits(&k), "files that workers do not accept");
    look(&k);
    ok(!deploy_waits(&k), "are not offered again");
    certificate_release(&k);
}

/* The old trouble is not shown as a note for ever. */
static void test_error_ends(void)
{
    struct certificate k;

    replace_files();
    start(&k);
    look(&k);
    row_complain(&k, "generation 9 was not accepted");
    k.outcome(&k, CERTIFICATE_ROLLBACK, CERTIFICATE_LIVES, "");
    is_str(k.own_error, "", "a rollback ends it");
    certificate_release(&k);
}

/* From a CA: an order is not given up because its certificate was deleted. */
static void test_order_stays(void)
{
    static struct ca_set ca_set = {.heritage = &heritage, .forkserver = -1};
    struct certificate k;
    struct order order = {.url = "https://ca.test/order/1"};

    for (int i = 0; i < FALLBACK_CAS; i++)
        ca_set.ca[i] = (struct ca){.directory = "https://ca.test/", .dir = -1};
    start(&k);
    issue_release(&k.issue);
    issue_init(&k.issue, &ca_set, &cert, k.row.name, now_ms);
    row_complain(&k, "old trouble");
    order_save_url(k.issue.dir, 1, &order);
    k.outcome(&k, CERTIFICATE_CA, CERTIFICATE_GONE, "it is gone from the store");
    ok(order_is_there(k.issue.dir), "deleted during its test: the order stays");
    k.outcome(&k, CERTIFICATE_CA, CERTIFICATE_REJECTED, "not accepted");
    ok(!order_is_there(k.issue.dir), "not accepted by workers: it does not");
    is_str(k.own_error, "old trouble", "trouble lasts");
    k.outcome(&k, CERTIFICATE_CA, CERTIFICATE_LIVES, "");
    is_str(k.own_error, "", "until one is live");
    certificate_release(&k);
}

static void test_log(void)
{
    struct certificate k;
    char text[400];
    int before, log = log_to_file(&before);

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    replace_files();
    start(&k);
    look(&k);
    row_complain(&k, text);
    k.row.error[0] = '\0'; /* as another part of acmed may have set it */
    row_complain(&k, text);
    is_str(k.row.error, text, "a long text is shown");
    is_int(logged(log, "aaaaaa") > 0, 1, "and logged");
    row_complain(&k, text);
    is_str(k.own_error, text, "all of it is known");
    certificate_release(&k);
    log_back(before, log);
}

/* Neither the files nor the store are any good. */
static void test_no_way(void)
{
    struct certificate k;
    int before, log = log_to_file(&before);

    spew(chain, "no", 2);
    start(&k);
    look(&k);
    look(&k);
    is_int(k.row.source, CERT_SELF_SIGNED, "bad files: self-signed");
    ok(rename(at("certs/x.test"), at("moved")) == 0, "it is deleted");
    spew(at("certs/x.test"), "x", 1);
    k.lost = true;
    for (int i = 0; i < 5; i++)
        look(&k);
    is_int(logged(log, "cannot write to the store"), 1, "that is told once");
    is_int(logged(log, "chain file holds no certificate"), 1, "the files' trouble too");
    certificate_release(&k);
    log_back(before, log);
}

int main(void)
{
    char clean[64];
    int control[2];

    heritage.table = aligned_alloc(TABLE_PAGE, sizeof *heritage.table);
    conf.acme = (struct conf_acme){.store = mkdtemp(root),
                                   .hook = "",
                                   .directory = "",
                                   .email = "",
                                   .profile = "",
                                   .staging = "",
                                   .fallback = {.directory = "", .email = ""}};
    if (!heritage.table || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, control) < 0)
        return 1;
    heritage.control_fd = control[0];
    snprintf(chain, sizeof chain, "%s/chain.pem", root);
    snprintf(key, sizeof key, "%s/key.pem", root);
    test_deleted();
    test_candidate_deleted();
    test_error_ends();
    test_order_stays();
    test_log();
    test_no_way();
    store_release(&store);
    free(heritage.table);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
