/* What a certificate does when its store cannot be read: what is live stays live, nothing is
 * made in its place, and the row says which file it is. */
#include "t/unit/one_certificate.h"

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
    one_open();
    test_unread("x.test/2/key.pem");
    test_unread("x.test/2/fullchain.pem");
    test_unread("x.test/2/meta");
    test_unread_first();
    test_unread_gone();
    test_rollback_unread();
    one_close();
    return done();
}
