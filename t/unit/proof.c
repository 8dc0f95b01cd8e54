/* acmed/net/proof.h: who is asked to prove a candidate, and what comes of the answer. */
#include <errno.h>
#include <openssl/sslerr.h>
#include <string.h>

#include "acmed/cert/pem.h"
#include "acmed/net/proof.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

static struct table table;
static const struct conf_listen listens[] = {{.tls = true}};
static const char *const names[] = {"a.test", "b.test"};
static const struct conf_cert cert = {.name = "a.test", .names = names, .n_names = 2};
static const struct conf conf = {
    .listen = listens, .n_listen = 1, .certs = &cert, .n_certs = 1};
static const struct heritage heritage = {.generation = 3, .conf = &conf, .table = &table};

static void worker(int row, enum child_state state, uint32_t incarnation, uint32_t generation)
{
    const struct child_row child = {.kind = KIND_WORKER,
                                    .state = (uint8_t)state,
                                    .incarnation = incarnation,
                                    .generation = generation};

    child_publish(&table.child[row], &child);
    if (atomic_load(&table.worker[row].incarnation) != incarnation)
        atomic_store(&table.worker[row].cert_proof[0], 0);
    atomic_store(&table.worker[row].incarnation, incarnation);
}

static void says(int row, uint32_t candidate, enum cert_proof proof)
{
    const struct cert_finding finding = {.candidate = candidate, .proof = proof, .name = 2};

    atomic_store(&table.worker[row].cert_proof[0], cert_finding_pack(&finding));
}

static enum proof_news look(struct proof *p, uint64_t now_ms, struct cert_finding *finding)
{
    return proof_look(p, &heritage, 0, now_ms, finding);
}

static void test_word(void)
{
    struct cert_finding f = {0xfedcba98, CERT_PROOF_CHAIN, 100,
                             true,       CERT_WHY_CA_HASH, CERT_ERROR_MAX};
    struct cert_finding g = cert_finding_unpack(cert_finding_pack(&f));

    ok(g.candidate == f.candidate && g.proof == f.proof && g.name == 100 && g.partly &&
           g.why == f.why && g.error == CERT_ERROR_MAX,
       "a finding in one word");
    f.error = CERT_ERROR_MAX + 1;
    g = cert_finding_unpack(cert_finding_pack(&f));
    ok(g.error == 0 && g.why == f.why, "an error that has no room is left out");
    is_int(cert_finding_unpack(UINT64_MAX).proof, CERT_PROOF_LOAD, "an unknown one");
    is_int(cert_finding_unpack(UINT64_MAX).why, CERT_WHY_OTHER, "and an unknown reason");
}

static void test_turns(void)
{
    struct proof p;
    struct cert_finding f;

    proof_begin(&p, 7);
    is_int(look(&p, 0, &f), PROOF_NONE, "so nobody can prove it");
    worker(0, CHILD_RUNNING, 1, 2);
    worker(1, CHILD_STARTING, 1, 3);
    worker(2, CHILD_RUNNING, 1, 3);
    worker(5, CHILD_RUNNING, 4, 3);
    ok(proof_needed(&heritage), "it is for TLS");
    is_int(look(&p, 0, &f), PROOF_ASKS, "one is asked");
    is_int(p.row, 2, "of our configuration, that runs");
    says(2, 6, CERT_PROOF_GOOD);
    is_int(look(&p, 1, &f), PROOF_WAITS, "of another candidate: no answer");
    is_int(look(&p, PROOF_REPLY_MS, &f), PROOF_ASKS, "it took too long: another one");
    is_int(p.row, 5, "the next");
    worker(5, CHILD_DRAINING, 4, 3);
    is_int(look(&p, PROOF_REPLY_MS, &f), PROOF_ASKS, "which leaves: another one");
    is_int(p.row, 2, "again the first");
    is_int(p.deaths, 0, "nobody died");
    says(2, 7, CERT_PROOF_NAMES);
    is_int(look(&p, PROOF_REPLY_MS, &f), PROOF_DONE, "it answers");
    ok(f.proof == CERT_PROOF_NAMES && f.name == 2, "and what");
}

static void test_deaths(void)
{
    struct proof p;
    struct cert_finding f;

    worker(5, CHILD_RUNNING, 4, 3);
    proof_begin(&p, 8);
    look(&p, 0, &f);
    is_int(p.row, 2, "one is asked");
    worker(2, CHILD_BACKOFF, 1, 3);
    is_int(look(&p, 1, &f), PROOF_ASKS, "it dies: another one");
    is_int(p.row, 5, "is asked");
    worker(5, CHILD_RUNNING, 5, 3);
    is_int(look(&p, 2, &f), PROOF_DIES, "that one too: enough");

    proof_begin(&p, 9);
    look(&p, 0, &f);
    is_int(p.row, 5, "a single worker");
    worker(5, CHILD_BACKOFF, 5, 3);
    is_int(look(&p, 1, &f), PROOF_WAITS, "dies: its successor is waited for");
    is_int(look(&p, 2, &f), PROOF_WAITS, "it does not go live unproved");
    worker(5, CHILD_RUNNING, 6, 3);
    is_int(look(&p, 3, &f), PROOF_ASKS, "and asked");
    says(5, 9, CERT_PROOF_GOOD);
    is_int(look(&p, 4, &f), PROOF_DONE, "good");
}

static void test_penalty(void)
{
    struct proof p;

    worker(2, CHILD_RUNNING, 9, 3);
    worker(5, CHILD_RUNNING, 9, 3);
    proof_begin(&p, 11);
    look(&p, 0, &(struct cert_finding){0});
    ok(p.row == 2 && proof_doubt(&p, &heritage, 1) && p.row == 5, "bad: another one is asked");
    ok(!proof_doubt(&p, &heritage, 2), "bad again: that is believed");
    worker(5, CHILD_BACKOFF, 9, 3);
    proof_begin(&p, 12);
    look(&p, 0, &(struct cert_finding){0});
    ok(p.row == 2 && !proof_doubt(&p, &heritage, 1), "a single worker is believed");
}

static void test_verdicts(void)
{
    static const struct {
        enum cert_proof proof;
        bool partly, strict, lenient;
        const char *text;
    } cases[] = {
        {CERT_PROOF_GOOD, false, true, true, ""},
        {CERT_PROOF_LOAD, false, false, false, "the workers cannot load it: see the log"},
        {CERT_PROOF_HANDSHAKE, false, false, false,
         "no TLS handshake for b.test succeeded with it: see the log"},
        {CERT_PROOF_HANDSHAKE, true, true, true,
         "it does not work with every version of TLS: see tls.ciphers and the log"},
        {CERT_PROOF_LEAF, false, false, false,
         "a client that asks for b.test would not get it"},
        {CERT_PROOF_NAMES, false, false, true, "the certificate is not for b.test"},
        {CERT_PROOF_DATES, false, false, true,
         "the certificate, or one of its chain, is not valid now"},
        {CERT_PROOF_CHAIN, false, false, true,
         "the chain is not in order: each certificate must be issued by the next"},
    };
    char text[TABLE_REASON];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct cert_finding f = {
            .candidate = 1, .proof = cases[i].proof, .name = 2, .partly = cases[i].partly};

        ok(proof_takes(&f, false) == cases[i].strict &&
               proof_takes(&f, true) == cases[i].lenient,
           "finding %d: from the CA %d, of the operator %d", cases[i].proof, cases[i].strict,
           cases[i].lenient);
        proof_text(&f, &cert, NULL, text);
        is_str(text, cases[i].text, "  in words");
    }
}

/* Which of the many reasons OpenSSL has, an operator need not look up in the log. */
static void test_handshake(void)
{
    struct cert_finding f = {.candidate = 1, .proof = CERT_PROOF_HANDSHAKE, .name = 2};
    const char *reason = pem_tls_reason(SSL_R_NO_SHARED_CIPHER);
    char text[TABLE_REASON];

    proof_text(&f, &cert, reason, text);
    is_str(text, "no TLS handshake for b.test succeeded with it: no shared cipher",
           "its cause");
    f.partly = true;
    proof_text(&f, &cert, reason, text);
    is_str(text,
           "it does not work with every version of TLS: no shared cipher; see tls.ciphers",
           "of one version, too");
    ok(!pem_tls_reason(0) && !pem_tls_reason(CERT_ERROR_MAX), "one that OpenSSL does not know");
    proof_text(&f, &cert, NULL, text);
    is_str(text, "it does not work with every version of TLS: see tls.ciphers and the log",
           "is in the log only");
}

/* What the log of a worker says of a candidate that it cannot load is in the row, too. */
static void test_load(void)
{
    static const struct {
        enum cert_why why;
        int error;
        const char *text;
    } cases[] = {
        {CERT_WHY_OTHER, 0, "cannot load it: see the log"},
        {CERT_WHY_FILE, EACCES, "the workers cannot read it from the store: Permission denied"},
        {CERT_WHY_KEY, 0, "cannot load it: its key is too small"},
        {CERT_WHY_CA_KEY, 0, "cannot load it: a key in its chain is too small for OpenSSL's"},
        {CERT_WHY_CA_HASH, 0, "cannot load it: a hash in its chain is too weak for OpenSSL's"},
    };
    char text[TABLE_REASON];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct cert_finding f = {.candidate = 1,
                                       .proof = CERT_PROOF_LOAD,
                                       .why = cases[i].why,
                                       .error = (uint8_t)cases[i].error};

        proof_text(&f, &cert, NULL, text);
        ok(strstr(text, cases[i].text) != NULL, "%s", text);
        ok(strlen("generation 4294967295 was not accepted: ") + strlen(text) < TABLE_REASON,
           "  fits into a row");
    }
}

int main(void)
{
    test_word();
    test_turns();
    test_deaths();
    test_penalty();
    test_verdicts();
    test_handshake();
    test_load();
    return done();
}
