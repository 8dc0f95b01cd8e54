/* The ledger: limits, crashes, and what is on disk. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "acmed/ledger.h"
#include "acmed/record.h"
#include "t/unit/tap.h"

static const char *const ab[] = {"a.test", "b.test"}, *const ba[] = {"b.test", "a.test"},
                         *const c[] = {"c.test"};
static const struct ledger_names both = {ab, 2}, turned = {ba, 2}, other = {c, 1};
static const uint64_t t0 = 1800000000;
static const char *why;

static void test_failures(void)
{
    struct ledger l = {0};

    is_int(ledger_wait(&l, both, false, t0, &why), 0, "nothing yet: go");
    for (int i = 0; i < 4; i++) {
        is_int(ledger_wait(&l, both, false, t0 + 60 * (unsigned)i, &why), 0, "try %d", i + 1);
        ledger_attempt(&l, both, t0 + 60 * (unsigned)i); /* and a crash, every time */
    }
    is_int(ledger_wait(&l, both, false, t0 + 200, &why), 3401,
           "the fifth waits for the hour's end");
    ok(strstr(why, "4 failures"), "and says why");
    is_int(ledger_wait(&l, turned, true, t0 + 200, &why), 3401, "a renewal too");
    is_int(ledger_wait(&l, other, false, t0 + 200, &why), 0, "another name does not");
    is_int(ledger_wait(&l, both, false, t0 + 3601, &why), 0, "an hour after the first: go");
    ledger_success(&l, both, t0 + 180, t0 + 190);
    is_int(ledger_wait(&l, both, false, t0 + 200, &why), 0, "a success is no failure");
    ledger_attempt(&l, both, t0 + 200);
    ok(ledger_wait(&l, both, false, t0 + 200, &why) > 0, "4 again");
    ledger_pardon(&l, both, t0 + 200);
    is_int(ledger_wait(&l, both, false, t0 + 200, &why), 0, "pardoned: the CA was down");
    ledger_release(&l);
}

static void test_orders(void)
{
    struct ledger l = {0};

    for (int i = 0; i < LEDGER_ORDERS; i++)
        ledger_order(&l, t0 + (unsigned)i);
    is_int(ledger_wait(&l, other, true, t0 + 300, &why), 3 * 3600 - 299, "250 orders: 3 hours");
    is_int(ledger_wait(&l, other, true, t0 + 3 * 3600 + 1, &why), 0, "from the first on");
    ledger_release(&l);
    for (int i = 0; i < LEDGER_SAME; i++)
        ledger_success(&l, i % 2 ? both : turned, t0, t0 + (unsigned)i);
    is_int(ledger_wait(&l, both, false, t0 + 10, &why), 7 * 24 * 3600 - 9,
           "4 certificates of one set, in any order: a week");
    is_int(ledger_wait(&l, both, true, t0 + 10, &why), 0, "but for a renewal");
    is_int(ledger_wait(&l, other, false, t0 + 10, &why), 0, "and others");
    for (int i = 0; i < LEDGER_ACCOUNTS; i++)
        ledger_account(&l, t0);
    is_int(ledger_wait_account(&l, t0 + 1, &why), 3 * 3600, "3 accounts");
    is_int(ledger_wait_account(&l, t0 + 3 * 3600 + 1, &why), 0, "in 3 hours");
    ledger_pardon_account(&l, t0);
    is_int(ledger_wait_account(&l, t0 + 1, &why), 0,
           "but one that was never made does not count");
    ledger_release(&l);
}

static void test_full(void)
{
    struct ledger l = {0};
    int added = 0;

    while (added < 2 * LEDGER_ENTRIES && ledger_attempt(&l, other, t0) == 0)
        added++;
    is_int(added, LEDGER_ENTRIES, "bounded");
    ok(ledger_wait(&l, both, true, t0, &why) > 0, "full: wait");
    size_t n;
    free(ledger_print(&l, t0 + 3601, &n));
    is_int(l.n, 0, "the old ones go");
    ledger_release(&l);
}

static int parsed(const char *text, struct ledger *l)
{
    *l = (struct ledger){0};
    return ledger_parse(l, text, strlen(text), t0);
}

static void test_text(void)
{
    static const char *const bad[] = {
        "f=1800000000:0123456789abcde\n",
        "f=1800000000:0123456789abcdeg\n",
        "x=1:0123456789abcdef\n",
        "f=1800000000:0123456789abcdef",
        "f=:0123456789abcdef\n",
        "f=01:0123456789abcdef\n",
        "f=99999999999999999999999:0123456789abcdef\n",
        "f\n",
        "=\n",
        "\n",
        "f=\n",
    };
    struct ledger l = {0}, back;
    char *text;
    size_t n;

    ledger_attempt(&l, both, t0 - 10);
    ledger_order(&l, t0 - 10);
    ledger_account(&l, t0 - 4 * 3600);
    ledger_success(&l, other, t0 - 10, t0 - 5);
    text = ledger_print(&l, t0, &n);
    back = (struct ledger){0};
    is_int(ledger_parse(&back, text, n, t0), 0, "reads back");
    ok(back.n == 4 && back.n == l.n && memcmp(&back.entry[3].what, &l.entry[3].what, 8) == 0,
       "without what is too old");
    free(text);
    ledger_release(&back);
    ledger_release(&l);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(parsed(bad[i], &l) < 0 && errno == EPROTO && l.n == 0, "damaged %zu", i);
        ledger_release(&l);
    }
    is_int(parsed("f=1900000000:0123456789abcdef\n", &l), 0, "of the future");
    is_int(l.entry[0].at_s, t0, "  counts as of now");
    ledger_release(&l);
    ok(parsed("o=1799999999:0000000000000000\nbroken", &l) < 0 && l.n == 1,
       "what is before a damage is kept");
    ledger_release(&l);
}

static void test_disk(void)
{
    char root[] = "/tmp/pasgate-ledger-XXXXXX", clean[64];
    struct ledger l = {0}, back;
    int folder;

    if (!mkdtemp(root))
        return;
    folder = record_open(root, "accounts", "ca.test=2fdir", true);
    ok(folder >= 0, "a folder");
    is_int(ledger_load(&back, folder, t0), 0, "no file is an empty ledger");
    ledger_attempt(&l, both, t0);
    is_int(ledger_save(&l, folder, t0), 0, "saved");
    is_int(ledger_load(&back, folder, t0), 0, "loaded");
    is_int(back.n, 2, "as it was");
    ledger_release(&l);
    ledger_release(&back);
    close(folder);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
}

int main(void)
{
    test_failures();
    test_orders();
    test_full();
    test_text();
    test_disk();
    return done();
}
