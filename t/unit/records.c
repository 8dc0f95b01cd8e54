/* Accounts, orders and states on disk: modes, damage, what belongs together. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/cert_state.h"
#include "acmed/cert/hook_told.h"
#include "acmed/key/secret.h"
#include "acmed/order/account_store.h"
#include "acmed/order/kvfile.h"
#include "acmed/order/order_store.h"
#include "t/unit/bad_disk.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-records-XXXXXX";
static const char ca[] = "https://ca.test:14000/dir";

static int mode_of(const char *below)
{
    char full[512];
    struct stat st;

    snprintf(full, sizeof full, "%s/%s", root, below);
    return lstat(full, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static void put(int dir, const char *file, const char *text)
{
    int fd = openat(dir, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail("put %s", file);
    close(fd);
}

static void test_no_dir_sync(void)
{
    int dir;
    size_t n;
    char *text;

    no_dir_sync = true;
    dir = kvfile_open(root, "nosync", "r.test", true);
    ok(dir >= 0 && kvfile_write(dir, "x", "one", 3) == 0, "directories cannot be synced");
    no_dir_sync = false;
    text = kvfile_read(dir, "x", 10, &n);
    ok(text && strcmp(text, "one") == 0, "  it is written");
    free(text);
    close(dir);
}

static void test_record(void)
{
    int dir = kvfile_open(root, "orders", "r.test", true);
    size_t n;
    char *text;

    ok(kvfile_open(root, "orders", "none.test", false) < 0 && errno == ENOENT,
       "not made unasked");
    is_int(mode_of("orders"), 0700, "folders are private");
    is_int(mode_of("orders/r.test"), 0700, "all of them");
    put(dir, ".new-x", "left by a crash");
    is_int(kvfile_write(dir, "x", "one", 3), 0, "written, over what a crash left");
    is_int(mode_of("orders/r.test/x"), 0600, "files are private");
    is_int(kvfile_write(dir, "x", "two", 3), 0, "written again");
    text = kvfile_read(dir, "x", 3, &n);
    ok(text && n == 3 && strcmp(text, "two") == 0, "read");
    free(text);
    ok(!kvfile_read(dir, "x", 2, &n) && errno == EFBIG, "longer than allowed");
    ok(symlinkat("x", dir, "link") == 0 && !kvfile_read(dir, "link", 9, &n), "no links");
    kvfile_remove(dir, "x");
    ok(!kvfile_read(dir, "x", 9, &n) && errno == ENOENT, "removed");
    close(dir);
}

static bool file_is(int dir, const char *file, const char *want)
{
    size_t n;
    char *text = kvfile_read(dir, file, 9, &n);
    bool same = want ? text && strcmp(text, want) == 0 : !text && errno == ENOENT;

    free(text);
    return same;
}

/* Each fsync() of a write fails in turn: the old file, or none, is there as before. */
static void test_failing_disk(void)
{
    int dir, written = -1, n = 0;

    for (; n < 9 && written < 0; n++) {
        sync_fails = n + 1;
        dir = kvfile_open(root, "eio", "r.test", true);
        if (dir >= 0)
            written = kvfile_write(dir, "x", "one", 3);
        if (written < 0)
            ok(errno == EIO && (dir < 0 || file_is(dir, "x", NULL)),
               "fsync %d fails: no file is left behind", n + 1);
        close(dir);
    }
    is_int(n, 4, "two directories and the name of the file were synced");
    dir = kvfile_open(root, "eio", "r.test", false);
    for (sync_fails = 1, n = 0; n < 9 && kvfile_write(dir, "x", "two", 3) < 0; n++) {
        ok(errno == EIO && file_is(dir, "x", "one"), "fsync %d fails: the old file", n + 1);
        sync_fails = n + 2;
    }
    sync_fails = 0;
    ok(n == 2 && file_is(dir, "x", "two"), "then it is written");
    ok(mode_of("eio/r.test/.new-x") < 0 && mode_of("eio/r.test/.old-x") < 0,
       "nothing is beside it");
    put(dir, ".old-x", "left by a crash");
    kvfile_remove(dir, "x");
    ok(mode_of("eio/r.test/.old-x") < 0, "nor after it was removed");
    close(dir);
}

static void test_account(void)
{
    struct account a;
    char name[CERT_DIR_SIZE];
    int dir = account_open(root, ca);

    is_str(account_dir(name, ca), "ca.test:14000=2fdir", "a CA's folder");
    is_int(mode_of("accounts/ca.test:14000=2fdir"), 0700, "is private");
    ok(account_load(dir, &a) == 0 && !a.key && !a.url[0], "nothing yet");
    is_int(account_save_key(dir, "KEY", 3), 0, "the key");
    is_int(account_save_url(dir, "https://ca.test/acct/1", NULL), 0, "the URL");
    is_int(account_load(dir, &a), 0, "loaded");
    is_str(a.key, "KEY", "the key");
    is_str(a.url, "https://ca.test/acct/1", "the URL");
    ok(!a.told, "what the CA was told is not known");
    account_release(&a);
    account_save_url(dir, "https://ca.test/acct/1", "a@shop.test");
    ok(account_load(dir, &a) == 0 && a.told, "now it is");
    is_str(a.contact, "a@shop.test", "an address for mail");
    is_str(a.url, "https://ca.test/acct/1", "and the URL");
    account_release(&a);
    account_save_url(dir, "https://ca.test/acct/1", "");
    ok(account_load(dir, &a) == 0 && a.told && !a.contact[0], "or none");
    account_release(&a);
    put(dir, "account", "url=https://a\nurl");
    ok(account_load(dir, &a) < 0 && a.key && !a.url[0], "damaged: the key is still good");
    account_release(&a);
    account_save_url(dir, "", NULL);
    ok(account_load(dir, &a) == 0 && a.key && !a.url[0], "forgotten");
    account_release(&a);
    account_save_url(dir, "https://ca.test/acct/1", NULL);
    is_int(account_lay_aside(dir), 0, "laid aside");
    ok(account_load(dir, &a) == 0 && !a.key && !a.url[0], "there is none now");
    is_int(mode_of("accounts/ca.test:14000=2fdir/closed.pem"), 0600, "but its key is");
    account_save_key(dir, "KEY", 3);
    close(dir);
}

static void test_next_key(void)
{
    struct account a;
    int dir = account_open(root, ca);
    size_t n = 0;
    char *next = account_load_next(dir, &n);

    ok(!next && account_take_next(dir) < 0, "no next key");
    is_int(account_save_next(dir, "NEXT", 4), 0, "one is written");
    next = account_load_next(dir, &n);
    is_str(next, "NEXT", "and read");
    secret_free(next);
    account_load(dir, &a);
    is_str(a.key, "KEY", "the key is as before");
    account_release(&a);
    is_int(account_take_next(dir), 0, "it takes its place");
    account_load(dir, &a);
    is_str(a.key, "NEXT", "so it is the key");
    account_release(&a);
    account_save_next(dir, "OTHER", 5);
    account_drop_next(dir);
    ok(!account_load_next(dir, &n), "another one is dropped");
    account_forget(dir);
    ok(account_load(dir, &a) == 0 && !a.key && !a.url[0], "a closed account leaves nothing");
    close(dir);
}

static void test_order(void)
{
    const char *const names[] = {"a.test", "b.test"}, *const glued[] = {"a.testb.test"};
    uint64_t wanted = order_wanted(ca, "", names, 2);
    struct order o;
    int dir = kvfile_open(root, "orders", "a.test", true);

    const char *const turned[] = {names[1], names[0]};

    ok(wanted == order_wanted(ca, "", turned, 2),
       "the same names in another order are the same");
    ok(wanted != order_wanted(ca, "", names, 1) && wanted != order_wanted(ca, "", glued, 1) &&
           wanted != order_wanted(ca, "short", names, 2) &&
           wanted != order_wanted("https://x.test", "", names, 2),
       "what is wanted has a number");
    order_save_key(dir, "KEY", 3);
    order_load(dir, wanted, &o);
    ok(!o.key && !o.url[0], "a key without an order is none");
    order_save_url(dir, wanted,
                   &(struct order){.url = "https://ca.test/order/1", .begun_s = 77});
    order_load(dir, wanted, &o);
    ok(o.key && o.begun_s == 77 && strcmp(o.key, "KEY") == 0 &&
           strcmp(o.url, "https://ca.test/order/1") == 0,
       "loaded");
    order_release(&o);
    order_load(dir, wanted + 1, &o);
    ok(!o.key && !o.url[0], "it was for something else");
    order_save_key(dir, "OTHER", 5);
    order_load(dir, wanted, &o);
    ok(!o.key, "another key: the order is gone");
    order_save_url(dir, wanted,
                   &(struct order){.url = "https://ca.test/order/2", .begun_s = 77});
    order_forget(dir);
    order_load(dir, wanted, &o);
    ok(!o.key && mode_of("orders/a.test/key.pem") < 0, "forgotten");
    close(dir);
}

static void test_state(void)
{
    static const char *const bad[] = {
        "failures=4294967296\n", "failures=-1\n", "x=1\n", "failures=1",
        "problem=\x01\n",        "next_try=\n"};
    struct cert_state s = {.failures = UINT32_MAX,
                           .next_try = 1,
                           .generation = 7,
                           .ari = {2, 3},
                           .renew_at = 4,
                           .ask_at = 5,
                           .ask_failures = 6,
                           .hook_at = UINT64_MAX,
                           .problem = "rejected: a=b\nfailures=0"},
                      back;
    int dir = kvfile_open(root, "orders", "a.test", true);

    ok(cert_state_load(dir, &back) == 0 && back.failures == 0, "none yet");
    is_int(cert_state_save(dir, &s), 0, "saved");
    ok(cert_state_load(dir, &back) == 1, "loaded");
    is_str(back.problem, "rejected: a=b failures=0", "one line");
    memcpy(back.problem, s.problem, sizeof s.problem);
    ok(back.failures == s.failures && back.next_try == 1 && back.generation == 7 &&
           back.ari.start == 2 && back.ari.end == 3 && back.renew_at == 4 && back.ask_at == 5 &&
           back.ask_failures == 6 && back.hook_at == UINT64_MAX,
       "as it was");
    ok(renameat(dir, "state", dir, "kept") == 0 && symlinkat("kept", dir, "state") == 0 &&
           cert_state_load(dir, &back) == -1 && back.failures == 0,
       "one that cannot be read is not taken for none");
    ok(renameat(dir, "kept", dir, "state") == 0, "it can be read again");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(dir, "state", bad[i]);
        ok(cert_state_load(dir, &back) == -1 && back.failures == 0, "damaged %zu", i);
    }
    close(dir);
}

/* When the hook was last called about a certificate that is not ordered. */
static void test_hook_told(void)
{
    static const char *const bad[] = {"trouble_at=x\n", "expiring_at=1", "other=1\n"};
    struct hook_told told = {7, 7}, back;
    int dir;

    hook_told_load(root, "files.test", &told);
    ok(told.trouble_at == 0 && told.expiring_at == 0 && mode_of("orders/files.test") < 0,
       "never, and asking makes nothing");
    told = (struct hook_told){1, UINT64_MAX};
    is_int(hook_told_save(root, "files.test", &told), 0, "noted");
    hook_told_load(root, "files.test", &back);
    ok(back.trouble_at == 1 && back.expiring_at == UINT64_MAX, "as it was");
    dir = kvfile_open(root, "orders", "files.test", false);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(dir, "hook", bad[i]);
        hook_told_load(root, "files.test", &back);
        ok(back.trouble_at == 0 && back.expiring_at == 0, "damaged %zu: never", i);
    }
    close(dir);
}

int main(void)
{
    char clean[64];

    umask(0);
    if (!mkdtemp(root))
        return 1;
    test_record();
    test_no_dir_sync();
    test_failing_disk();
    test_account();
    test_next_key();
    test_order();
    test_state();
    test_hook_told();
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
