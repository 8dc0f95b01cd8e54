/* The rate log: limits, crashes, and what is on disk. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "acmed/order/kvfile.h"
#include "acmed/order/rate_log.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

static const char *const ab[] = {"a.test", "b.test"}, *const ba[] = {"b.test", "a.test"},
                         *const c[] = {"c.test"};
static const struct rate_log_names both = {ab, 2, 0}, turned = {ba, 2, 0}, other = {c, 1, 0};
static const uint64_t t0 = 1800000000;
static const char *why;

static struct rate_log_limits known(void)
{
    return rate_log_limits_of("https://acme-v02.api.letsencrypt.org/directory",
                              &(struct conf_ca_limits){0});
}

/* Only a CA that publishes its limits has them: certificates of a minute expired by those of
 * Let's Encrypt. */
static void test_other_ca(void)
{
    struct conf_ca_limits set = {.same_names = 2};
    struct rate_log l = {
        .limits = rate_log_limits_of("https://ca.test/dir", &(struct conf_ca_limits){0})};

    for (unsigned i = 0; i < 1000; i++) {
        rate_log_order(&l, t0 + i);
        rate_log_attempt(&l, both, t0 + i);
        rate_log_success(&l, both, t0 + i, t0 + i);
    }
    is_int(rate_log_wait(&l, both, false, t0 + 1000, &why), 0, "1,000 certificates: go on");
    is_int(l.n, 0, "and what has no limit is not kept");
    for (unsigned i = 0; i < 60; i++)
        rate_log_attempt(&l, both, t0 + i);
    ok(rate_log_wait(&l, both, false, t0 + 60, &why) > 0, "60 failures in an hour: wait");
    is_int(rate_log_wait(&l, (struct rate_log_names){ab, 2, 60}, true, t0 + 60, &why), 0,
           "but not where a certificate lives for a minute");
    ok(rate_log_wait(&l, (struct rate_log_names){ab, 2, 90 * 24 * 3600}, true, t0 + 60, &why) >
           0,
       "as where it lives for 90 days");
    rate_log_release(&l);
    l.limits = rate_log_limits_of("https://ca.test/dir", &set);
    is_int(l.limits.same, 2, "what the operator set is in force");
    is_int(rate_log_limits_of("https://acme-v02.api.letsencrypt.org/directory", &set).orders,
           250, "beside what is known of the CA");
}

static void test_failures(void)
{
    struct rate_log l = {.limits = known()};

    is_int(rate_log_wait(&l, both, false, t0, &why), 0, "nothing yet: go");
    for (int i = 0; i < 4; i++) {
        is_int(rate_log_wait(&l, both, false, t0 + 60 * (unsigned)i, &why), 0, "try %d", i + 1);
        rate_log_attempt(&l, both, t0 + 60 * (unsigned)i); /* and a crash, every time */
    }
    is_int(rate_log_wait(&l, both, false, t0 + 200, &why), 3401,
           "the fifth waits for the hour's end");
    ok(strstr(why, "limit reached: 4 failed orders"), "and says why: %s", why);
    is_int(rate_log_wait(&l, turned, true, t0 + 200, &why), 3401, "a renewal too");
    is_int(rate_log_wait(&l, other, false, t0 + 200, &why), 0, "another name does not");
    is_int(rate_log_wait(&l, both, false, t0 + 3601, &why), 0, "an hour after the first: go");
    rate_log_success(&l, both, t0 + 180, t0 + 190);
    is_int(rate_log_wait(&l, both, false, t0 + 200, &why), 0, "a success is no failure");
    rate_log_attempt(&l, both, t0 + 200);
    ok(rate_log_wait(&l, both, false, t0 + 200, &why) > 0, "4 again");
    rate_log_refund(&l, both, t0 + 200);
    is_int(rate_log_wait(&l, both, false, t0 + 200, &why), 0, "refunded: the CA was down");
    rate_log_release(&l);
}

static void test_orders(void)
{
    struct rate_log l = {.limits = known()};

    for (int i = 0; i < 250; i++)
        rate_log_order(&l, t0 + (unsigned)i);
    is_int(rate_log_wait(&l, other, true, t0 + 300, &why), 3 * 3600 - 299,
           "250 orders: 3 hours");
    is_int(rate_log_wait(&l, other, true, t0 + 3 * 3600 + 1, &why), 0, "from the first on");
    rate_log_release(&l);
    l.limits = known();
    for (int i = 0; i < 4; i++)
        rate_log_success(&l, i % 2 ? both : turned, t0, t0 + (unsigned)i);
    is_int(rate_log_wait(&l, both, false, t0 + 10, &why), 7 * 24 * 3600 - 9,
           "4 certificates of one set, in any order: a week");
    is_int(rate_log_wait(&l, both, true, t0 + 10, &why), 0, "but for a renewal");
    is_int(rate_log_wait(&l, other, false, t0 + 10, &why), 0, "and others");
    for (int i = 0; i < 3; i++)
        rate_log_account(&l, t0);
    is_int(rate_log_wait_account(&l, t0 + 1, &why), 3 * 3600, "3 accounts");
    is_int(rate_log_wait_account(&l, t0 + 3 * 3600 + 1, &why), 0, "in 3 hours");
    rate_log_refund_account(&l, t0);
    is_int(rate_log_wait_account(&l, t0 + 1, &why), 0,
           "but one that was never made does not count");
    rate_log_release(&l);
}

static void test_full(void)
{
    struct rate_log l = {0};
    int added = 0;

    while (added < 2 * RATE_LOG_ENTRIES && rate_log_attempt(&l, other, t0) == 0)
        added++;
    is_int(added, RATE_LOG_ENTRIES, "bounded");
    ok(rate_log_wait(&l, both, true, t0, &why) > 0, "full: wait");
    ok(strstr(why, "entries in the rate log"), "and says why: %s", why);
    ok(rate_log_wait_urgent(&l, both, t0, &why) > 0, "an urgent renewal too");
    l.n--;
    ok(rate_log_attempt(&l, both, t0) < 0 && l.n == RATE_LOG_ENTRIES - 1,
       "an attempt that does not fit is not recorded in part");
    rate_log_attempt(&l, other, t0);
    size_t n;
    free(rate_log_print(&l, t0 + 3601, &n));
    is_int(l.n, 0, "the old ones go");
    rate_log_release(&l);
}

/* While all orders wait, nothing is saved: a rate log full of old entries blocked them for
 * ever, also after a restart. */
static void test_full_of_old(void)
{
    struct rate_log l = {0};
    char line[64], *text = malloc(RATE_LOG_BYTES + 1);
    size_t n = 0;

    while (rate_log_attempt(&l, other, t0) == 0)
        ;
    is_int(rate_log_wait(&l, both, true, t0 + 3601, &why), 0, "full of old entries: go on");
    is_int(l.n, 0, "they are dropped");
    while (rate_log_attempt(&l, other, t0) == 0)
        ;
    is_int(rate_log_attempt(&l, both, t0 + 3601), 0, "an attempt finds room, too");
    is_int(l.n, 2, "and is all that is left");
    rate_log_release(&l);
    snprintf(line, sizeof line, "f=%llu:0123456789abcdef\n", (unsigned long long)t0 - 3601);
    while (text && n + strlen(line) <= RATE_LOG_BYTES)
        n += (size_t)sprintf(text + n, "%s", line);
    is_int(rate_log_parse(&l, text, n, t0), 0, "a file full of old entries is no damage");
    is_int(l.n, 0, "and none of them is kept");
    free(text);
    rate_log_release(&l);
}

/* The clock was set back after these were recorded. */
static void test_clock(void)
{
    struct rate_log l = {.limits = known()};

    rate_log_attempt(&l, both, t0);
    for (int i = 0; i < 3; i++)
        rate_log_account(&l, t0);
    is_int(rate_log_wait_account(&l, t0 - 100000, &why), 3 * 3600 + 1,
           "accounts of the future count as of now");
    is_int(rate_log_wait(&l, both, true, t0 - 100000, &why), 0, "failures do not count");
    rate_log_refund_account(&l, t0);
    is_int(rate_log_wait_account(&l, t0 - 100000, &why), 0, "a refund still finds its account");
    rate_log_success(&l, both, t0, t0 - 100000);
    is_int(l.n, 3, "and a success its failures: 2 accounts and a certificate are left");
    rate_log_release(&l);
}

static int parsed(const char *text, struct rate_log *l)
{
    *l = (struct rate_log){0};
    return rate_log_parse(l, text, strlen(text), t0);
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
    struct rate_log l = {.limits = known()}, back;
    char *text;
    size_t n;

    rate_log_attempt(&l, both, t0 - 10);
    rate_log_order(&l, t0 - 10);
    rate_log_account(&l, t0 - 4 * 3600);
    rate_log_success(&l, other, t0 - 10, t0 - 5);
    text = rate_log_print(&l, t0, &n);
    back = (struct rate_log){0};
    is_int(rate_log_parse(&back, text, n, t0), 0, "reads back");
    ok(back.n == 4 && back.n == l.n && memcmp(&back.entry[3].what, &l.entry[3].what, 8) == 0,
       "without what is too old");
    free(text);
    rate_log_release(&back);
    rate_log_release(&l);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(parsed(bad[i], &l) < 0 && errno == EPROTO && l.n == 0, "damaged %zu", i);
        rate_log_release(&l);
    }
    is_int(parsed("f=1900000000:0123456789abcdef\no=1900000000:0000000000000000\n", &l), 0,
           "of the future");
    ok(l.n == 1 && l.entry[0].kind == 'o', "  a failure is dropped");
    is_int(l.entry[0].at_s, t0, "  an order counts as of now");
    rate_log_release(&l);
    ok(parsed("o=1799999999:0000000000000000\nbroken", &l) < 0 && l.n == 1,
       "what is before a damage is kept");
    rate_log_release(&l);
}

static void test_disk(void)
{
    char root[] = "/tmp/pasgate-rate-log-XXXXXX", clean[64];
    struct rate_log l = {.limits = known()}, back;
    int dir;

    if (!mkdtemp(root))
        return;
    dir = kvfile_open(root, "accounts", "ca.test=2fdir", true);
    ok(dir >= 0, "a folder");
    is_int(rate_log_load(&back, dir, t0), 0, "no file is an empty rate log");
    rate_log_attempt(&l, both, t0);
    is_int(rate_log_save(&l, dir, t0), 0, "saved");
    is_int(rate_log_load(&back, dir, t0), 0, "loaded");
    is_int(back.n, 2, "as it was");
    rate_log_release(&l);
    rate_log_release(&back);
    close(dir);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
}

int main(void)
{
    test_failures();
    test_other_ca();
    test_orders();
    test_full();
    test_full_of_old();
    test_clock();
    test_text();
    test_disk();
    return done();
}
