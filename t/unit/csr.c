/* Requests for certificates: what openssl(1) reads in them; chains that came back. */
#include <stdlib.h>
#include <unistd.h>

#include "acmed/cert/selfsigned.h"
#include "acmed/key/csr.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "t/unit/tap.h"

static const char *const names[] = {"a.test", "*.b.test", "192.0.2.7", "2001:db8::1"};

/* What the command prints, with the bytes on its standard input. */
static const char *through(const char *command, const void *bytes, size_t n)
{
    static char out[16384];
    char file[] = "/tmp/pasgate-csr-XXXXXX", line[256];
    int fd = mkstemp(file);
    FILE *pipe;

    out[0] = '\0';
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        return out;
    close(fd);
    snprintf(line, sizeof line, "%s <%s 2>&1", command, file);
    pipe = popen(line, "r");
    out[pipe ? fread(out, 1, sizeof out - 1, pipe) : 0] = '\0';
    if (pipe)
        pclose(pipe);
    unlink(file);
    return out;
}

static void test_request(const char *type, const char *shown)
{
    size_t n_pem = 0, n = 0;
    char *pem = csr_key_new(csr_key_type(type), &n_pem);
    struct csr_key *key = csr_key_read(str_make(pem, n_pem));
    uint8_t *der = key ? csr_make(key, names, 4, &n) : NULL;
    const char *text;

    if (ok(der != NULL, "%s: a request", type)) {
        text = through("openssl req -inform DER -noout -verify -text", der, n);
        ok(strstr(text, "verify OK") != NULL, "  signed by its key");
        ok(strstr(text, shown) != NULL, "  %s", shown);
        ok(strstr(text, "DNS:a.test, DNS:*.b.test, IP Address:192.0.2.7, IP "
                        "Address:2001:DB8:0:0:0:0:0:1") != NULL,
           "  all names");
        ok(strstr(text, "Subject: \n") != NULL || strstr(text, "Subject:\n") != NULL,
           "  no subject");
    }
    free(der);
    csr_key_free(key);
    secret_free(pem);
}

static void test_chain(void)
{
    char error[CSR_ERROR_SIZE], reason[TABLE_REASON];
    static const char *const fewer[] = {"a.test"}, *const other[] = {"a.test", "*.b.test",
                                                                     "192.0.2.7", "c.test"};
    uint64_t now = clock_wall_ms();
    struct pem_pair pair, stranger;
    struct csr_key *key, *wrong;
    struct str chain;

    is_int(selfsigned_make(names, 4, now, &pair, reason), 0, "a chain of one");
    is_int(selfsigned_make(names, 4, now, &stranger, reason), 0, "and that of another key");
    key = csr_key_read(str_make(pair.key, pair.n_key));
    wrong = csr_key_read(str_make(stranger.key, stranger.n_key));
    chain = str_make(pair.chain, pair.n_chain);

    is_int(csr_check_chain(key, chain, names, 4, now, error), 0, "it is as ordered");
    is_str(error, "", "  no error");
    is_int(csr_check_chain(wrong, chain, names, 4, now, error), -1, "another key");
    is_str(error, "the CA's certificate is for another key", "  said so");
    is_int(csr_check_chain(key, chain, fewer, 1, now, error), -1, "more names than ordered");
    is_int(csr_check_chain(key, chain, other, 4, now, error), -1, "another name");
    is_str(error, "the CA's certificate is for other names than ordered", "  said so");
    is_int(csr_check_chain(key, chain, names, 4, now + UINT64_C(91) * 86400000, error), -1,
           "expired");
    is_int(csr_check_chain(key, chain, names, 4, now - UINT64_C(86400000), error), 0,
           "of tomorrow: good, and to be waited for");
    is_int(csr_check_chain(key, STR("-----BEGIN CERTIFICATE-----\nxx\n"), names, 4, now, error),
           -1, "not a chain");
    is_int(csr_check_chain(key, STR_EMPTY, names, 4, now, error), -1, "nothing");

    char *two = malloc(pair.n_chain + stranger.n_chain + 1);
    memcpy(two, pair.chain, pair.n_chain);
    memcpy(two + pair.n_chain, stranger.chain, stranger.n_chain);
    is_int(csr_check_chain(key, str_make(two, pair.n_chain + stranger.n_chain), names, 4, now,
                           error),
           -1, "a link that did not sign");
    is_str(error, "the CA's chain is not in order", "  said so");
    free(two);

    ok(csr_chain_has_issuer(chain, "a.test"), "the issuer is found by common name");
    ok(!csr_chain_has_issuer(chain, "a.tes"), "no other is");
    ok(!csr_chain_has_issuer(STR("no"), "a.test"), "nor in what is no chain");
    csr_key_free(key);
    csr_key_free(wrong);
    pem_pair_release(&pair);
    pem_pair_release(&stranger);
}

int main(void)
{
    test_request("p256", "NIST CURVE: P-256");
    test_request("p384", "NIST CURVE: P-384");
    test_request("rsa2048", "Public-Key: (2048 bit)");
    is_int(csr_key_type("rsa1024"), CSR_KEY_TYPES, "no such type");
    test_chain();
    return done();
}
