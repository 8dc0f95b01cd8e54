/* Secrets: where they lie, files of any size; and that nothing of a key is left in ordinary
 * memory while it is made, read and used, nor afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "acmed/cert/pem.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/key/csr.h"
#include "acmed/key/jose.h"
#include "acmed/key/key.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "base/sandbox.h"
#include "t/unit/tap.h"

enum {
    CHUNK = 1 << 20,
    NEEDLES = 64,
    NEEDLE_MAX = 512,
    STACK = 1 << 20,
    LEFT = 32,
};

/* Sanitizers and valgrind have copies of their own, and valgrind no locks. */
static bool watched;

static bool can_watch(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return !SANDBOX_LEAK_CHECK && !(preload && strstr(preload, "vgpreload"));
}

/* ---- this process's memory, but for what is in no core dump: that is where keys may be */

struct region {
    uintptr_t from, to;
    bool readable, secret, locked;
};

static bool next_region(FILE *smaps, struct region *r)
{
    char line[512], modes[8];
    uintptr_t from, to;
    bool found = false;

    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &from, &to, modes) == 3) {
            r->from = from;
            r->to = to;
            r->readable = modes[0] == 'r' && !strstr(line, "[vvar");
            found = true;
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            r->secret = strstr(line, " dd") != NULL;
            r->locked = strstr(line, " lo") != NULL;
            return found;
        }
    }
    return false;
}

static bool region_of(const void *p, struct region *r)
{
    FILE *smaps = fopen("/proc/self/smaps", "r");
    bool found = false;

    while (smaps && !found && next_region(smaps, r))
        found = (uintptr_t)p >= r->from && (uintptr_t)p < r->to;
    if (smaps)
        fclose(smaps);
    return found;
}

/* What is looked for, and what is looked into: in memory that is not looked at. */
static struct {
    struct {
        uint8_t bytes[NEEDLE_MAX];
        size_t n;
        const char *what;
    } needle[NEEDLES];
    size_t n;
    uint8_t chunk[NEEDLE_MAX + CHUNK];
} * look;

static void look_for(const char *what, const void *bytes, size_t n)
{
    memcpy(look->needle[look->n].bytes, bytes, n);
    look->needle[look->n].what = what;
    look->needle[look->n++].n = n;
}

static int found_in_chunk(size_t n, uintptr_t at)
{
    int found = 0;

    for (size_t i = 0; i < look->n; i++) {
        const uint8_t *hit = memmem(look->chunk, n, look->needle[i].bytes, look->needle[i].n);

        if (!hit)
            continue;
        found++;
        diag("%s at %#" PRIxPTR, look->needle[i].what, at + (uintptr_t)(hit - look->chunk));
    }
    return found;
}

/* Chunk by chunk, each behind the end of the one before it. */
static int found_in_region(int mem, const struct region *r)
{
    size_t kept = 0;
    int found = 0;

    for (uintptr_t at = r->from; at < r->to; at += CHUNK) {
        size_t want = r->to - at < CHUNK ? r->to - at : CHUNK;
        ssize_t got = pread(mem, look->chunk + kept, want, (off_t)at);

        if (got <= 0)
            break;
        found += found_in_chunk(kept + (size_t)got, at - kept);
        if (got < CHUNK)
            break;
        memcpy(look->chunk, look->chunk + kept + CHUNK - NEEDLE_MAX, NEEDLE_MAX);
        kept = NEEDLE_MAX;
    }
    return found;
}

static int found_in_memory(void)
{
    FILE *smaps = watched ? fopen("/proc/self/smaps", "r") : NULL;
    int mem = open("/proc/self/mem", O_RDONLY), found = 0;
    struct region r;

    while (smaps && next_region(smaps, &r))
        if (r.readable && !r.secret)
            found += found_in_region(mem, &r);
    if (smaps)
        fclose(smaps);
    close(mem);
    return found;
}

/* ---- a stack of its own for what is done with a key, so that what is left there stays */

static struct {
    void (*what)(void *);
    void *arg;
    ucontext_t here, there;
} trip;

static void go(void)
{
    trip.what(trip.arg);
}

static void apart(void (*what)(void *), void *arg)
{
    static void *stack;

    if (!watched) {
        what(arg);
        return;
    }
    if (!stack)
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(stack, 0, STACK);
    trip.what = what;
    trip.arg = arg;
    getcontext(&trip.there);
    trip.there.uc_stack.ss_sp = stack;
    trip.there.uc_stack.ss_size = STACK;
    trip.there.uc_link = &trip.here;
    makecontext(&trip.there, go, 0);
    swapcontext(&trip.here, &trip.there);
}

static void leave_behind(void *arg)
{
    const volatile uint8_t *from = arg;
    volatile uint8_t left[LEFT];

    for (int i = 0; i < LEFT; i++)
        left[i] = from[i];
    (void)left;
}

/* Else the others would notice nothing. */
static void test_the_test(void)
{
    uint8_t *bytes = secret_new(LEFT), *left = malloc(LEFT);

    look->n = 0;
    ok(getentropy(bytes, LEFT) == 0, "some bytes");
    look_for("what was left", bytes, LEFT);
    is_int(found_in_memory(), 0, "a secret is not found");
    memcpy(left, bytes, LEFT);
    is_int(found_in_memory(), watched, "what is left on the heap is");
    explicit_bzero(left, LEFT);
    free(left);
    apart(leave_behind, bytes);
    is_int(found_in_memory(), watched, "and on that stack");
    secret_free(bytes);
}

/* ---- the heap */

static void test_pieces(void)
{
    char *secret = secret_copy(STR("words"));
    struct region r = {0};

    is_str(secret, "words", "a copy");
    ok(region_of(secret, &r) && (r.secret || !watched), "is in no core dump");
    ok(r.locked || !watched, "and locked in memory");
    secret_free(secret);
    secret_free(NULL);
    secret = secret_new(SECRET_HEAP);
    ok(secret && secret[SECRET_HEAP - 1] == 0, "more than there is: ordinary memory");
    memset(secret, 'x', SECRET_HEAP);
    secret_free(secret);
}

/* However many texts there are, OpenSSL has room for its numbers. */
static void test_full(void)
{
    enum { MANY = 2 * SECRET_HEAP / 4096 };
    char *text[MANY], *pem;
    int inside = 0;
    size_t n = 0;

    for (int i = 0; i < MANY; i++)
        text[i] = secret_new(4096);
    for (int i = 0; watched && i < MANY; i++) {
        struct region r = {0};

        inside += region_of(text[i], &r) && r.secret;
    }
    ok(!watched || inside == SECRET_HEAP / 2 / 4096, "half of the heap is for texts");
    pem = csr_key_new(CSR_P384, &n);
    ok(pem != NULL, "the other half for the numbers of a key");
    secret_free(pem);
    for (int i = 0; i < MANY; i++)
        secret_free(text[i]);
}

/* ---- files */

static void test_file(int file, const char *bytes, size_t size)
{
    size_t n = 99;
    char *got;

    ok(ftruncate(file, 0) == 0 && pwrite(file, bytes, size, 0) == (ssize_t)size, "%zu bytes",
       size);
    lseek(file, 0, SEEK_SET);
    got = secret_read(file, size, &n);
    ok(got && n == size && memcmp(got, bytes, size) == 0 && got[size] == '\0', "  are read");
    secret_free(got);
    lseek(file, 0, SEEK_SET);
    ok(size == 0 || (!secret_read(file, size - 1, &n) && errno == EFBIG), "  or too many");
}

static void test_reading(void)
{
    enum { LARGE = 20000 };
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, LARGE};
    char name[] = "/tmp/pasgate-secret-XXXXXX", *bytes = secret_new(LARGE), *got;
    int file = mkstemp(name), pair[2];
    size_t n = 0;

    memset(bytes, 'k', LARGE);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        test_file(file, bytes, sizes[i]);
    ok(pipe(pair) == 0 && write(pair[1], bytes, LARGE) == LARGE && close(pair[1]) == 0,
       "a pipe, which does not tell its size");
    got = secret_read(pair[0], LARGE, &n);
    ok(got && n == LARGE && memcmp(got, bytes, n) == 0, "  is read");
    secret_free(got);
    ok(!secret_read(-1, 9, &n) && errno == EBADF, "nothing to read from");
    close(pair[0]);
    close(file);
    unlink(name);
    secret_free(bytes);
}

/* ---- keys */

static void look_for_number(EVP_PKEY *key, const char *name)
{
    uint8_t *bytes = secret_new(NEEDLE_MAX);
    BIGNUM *number = BN_secure_new();
    int n = 0;

    if (EVP_PKEY_get_bn_param(key, name, &number) == 1) {
        n = BN_num_bytes(number);
        BN_bn2binpad(number, bytes, n);
        look_for(name, bytes, (size_t)n);
        BN_bn2lebinpad(number, bytes, n); /* as OpenSSL computes with it */
        look_for(name, bytes, (size_t)n);
    }
    BN_clear_free(number);
    secret_free(bytes);
}

static void look_for_key(const char *text)
{
    static const char *const numbers[] = {
        OSSL_PKEY_PARAM_PRIV_KEY,
        OSSL_PKEY_PARAM_RSA_D,
        OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,
    };
    struct str pem = str_from(text);
    EVP_PKEY *key = key_read(pem, NULL);

    look->n = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        look_for_number(key, numbers[i]);
    while (pem.n && look->n < NEEDLES) {
        struct str line = str_head(pem, str_index(pem, '\n'));

        if (line.n > 16 && line.p[0] != '-')
            look_for("a line of PEM", line.p, line.n);
        pem = str_skip(pem, line.n < pem.n ? line.n + 1 : line.n);
    }
    EVP_PKEY_free(key);
}

struct made {
    enum csr_key_type type;
    char *pem;
    size_t n, n_signature;
    struct csr_key *key;
    struct jose_key *jose;
    uint8_t *der;
};

static void make_key(void *arg)
{
    struct made *m = arg;

    m->pem = csr_key_new(m->type, &m->n);
}

static void read_key(void *arg)
{
    struct made *m = arg;

    m->key = csr_key_read(str_make(m->pem, m->n));
    m->jose = jose_key_read(str_make(m->pem, m->n));
}

static void use_key(void *arg)
{
    static const char *const names[] = {"a.test"};
    struct made *m = arg;
    struct pem_pair pair = {.key = m->pem, .n_key = m->n, .chain = m->pem, .n_chain = m->n};
    uint8_t signature[JOSE_SIGNATURE], digest[PEM_DIGEST];
    size_t n;

    m->der = csr_make(m->key, names, 1, &n);
    m->n_signature = jose_sign(m->jose, "x", 1, signature);
    pem_digest(&pair, digest);
}

static void test_key(const char *type)
{
    struct made m = {.type = csr_key_type(type)};

    apart(make_key, &m);
    ok(m.pem != NULL, "a key of %s", type);
    look_for_key(m.pem);
    ok(look->n >= 5, "  its numbers and lines are looked for");
    is_int(found_in_memory(), 0, "  making it left nothing");
    apart(read_key, &m);
    is_int(found_in_memory(), 0, "  nor did reading it");
    apart(use_key, &m);
    ok(m.der && m.n_signature > 0, "  it signs");
    is_int(found_in_memory(), 0, "  while it is there, nothing of it is in ordinary memory");
    free(m.der);
    csr_key_free(m.key);
    jose_key_free(m.jose);
    secret_free(m.pem);
    is_int(found_in_memory(), 0, "  nor afterwards");
}

static void count(void *arg)
{
    static uint64_t last_ms;
    uint64_t now_ms = clock_mono_ms();
    uint64_t *longest_ms = arg;

    if (last_ms && now_ms - last_ms > *longest_ms)
        *longest_ms = now_ms - last_ms;
    last_ms = now_ms;
}

/* Others take silence for death after ten seconds. */
static void test_pulse(void)
{
    uint64_t longest_ms = 0;
    EVP_PKEY *key;

    key_set_heartbeat(count, &longest_ms);
    key = key_new_rsa(4096);
    key_set_heartbeat(NULL, NULL);
    ok(key && longest_ms > 0 && longest_ms < 5000,
       "while a key of RSA is made, something is heard every %" PRIu64 " ms", longest_ms);
    EVP_PKEY_free(key);
}

static void test_pair(void)
{
    static const char *const names[] = {"a.test"};
    char error[TABLE_REASON];
    struct pem_info info;
    struct pem_pair pair;

    is_int(selfsigned_make(names, 1, clock_wall_ms(), &pair, error), 0, "a self-signed pair");
    look_for_key(pair.key);
    is_int(pem_check(&pair, names, 1, clock_wall_ms(), &info, error), 0, "  is checked");
    is_int(found_in_memory(), 0, "  nothing of its key is in ordinary memory");
    pem_pair_release(&pair);
}

int main(void)
{
    secret_init(SECRET_HEAP);
    watched = can_watch();
    look = mmap(NULL, sizeof *look, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(look, sizeof *look, MADV_DONTDUMP);
    if (!watched)
        diag("memory is not looked at here");
    test_pieces();
    test_full();
    test_reading();
    test_the_test();
    test_key("p256");
    test_key("p384");
    if (watched) {
        test_pulse();
        test_key("rsa2048");
        test_key("rsa4096");
    }
    test_pair();
    return done();
}
