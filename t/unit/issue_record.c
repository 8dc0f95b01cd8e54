/* What cannot be recorded in the rate log is not ordered. */
#include <stdlib.h>
#include <unistd.h>

#include "acmed/order/issue_record.h"
#include "acmed/order/kvfile.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/tap.h"

static const char *const two[] = {"a.test", "b.test"}, *const other[] = {"c.test"};
static const struct rate_log_names names = {two, 2, 0}, filler = {other, 1, 0};

static struct conf conf;
static struct heritage heritage = {.conf = &conf};
static struct ca_set ca_set = {.heritage = &heritage};
static struct conf_cert cert;

static void fill(struct rate_log *rate_log, size_t left)
{
    while (rate_log->n < RATE_LOG_ENTRIES - left &&
           rate_log_attempt(rate_log, filler, clock_wall_ms() / 1000) == 0)
        ;
}

static size_t stored(int dir)
{
    struct rate_log back = {0};
    size_t n;

    rate_log_load(&back, dir, clock_wall_ms() / 1000);
    n = back.n;
    rate_log_release(&back);
    return n;
}

static void test_records(struct issue *is, struct ca *ca)
{
    char error[TABLE_REASON] = "";

    ok(issue_record_attempt(is, true, error), "an attempt that creates an account");
    is_int(stored(ca->dir), 3, "is stored: its names and the account");
    ok(issue_record_order(is, error), "an order");
    is_int(stored(ca->dir), 4, "is stored");
    is->makes_account = true;
    issue_record_refund(is);
    is_int(stored(ca->dir), 1, "a refund leaves the order");
    ok(issue_record_attempt(is, false, error), "another attempt");
    issue_record_success(is);
    is_int(stored(ca->dir), 2, "a success leaves the certificate");
}

static void test_full(struct issue *is, struct ca *ca)
{
    char error[TABLE_REASON] = "";
    struct rate_log *rate_log = &ca->rate_log;

    fill(rate_log, 1);
    ok(!issue_record_attempt(is, false, error), "full: no attempt");
    ok(strstr(error, "the rate log of https://ca.test/dir is full"), "and says why: %s", error);
    is_int(rate_log->n, RATE_LOG_ENTRIES - 1, "nothing of it is recorded");
    rate_log->n--;
    ok(!issue_record_attempt(is, true, error),
       "nor with an account for which there is no room");
    is_int(rate_log->n, RATE_LOG_ENTRIES - 2, "nothing of it is recorded");
    fill(rate_log, 0);
    error[0] = '\0';
    ok(!issue_record_order(is, error) && *error, "no order: %s", error);
    issue_record_success(is);
    is_int(rate_log->n, RATE_LOG_ENTRIES, "a success that does not fit is logged");
}

static void test_store(struct issue *is, struct ca *ca)
{
    char error[TABLE_REASON] = "";

    rate_log_release(&ca->rate_log);
    close(ca->dir);
    ca->dir = -1;
    ok(!issue_record_attempt(is, false, error) && strstr(error, "cannot write to the store"),
       "what cannot be stored: %s", error);
    is_int(ca->rate_log.n, 0, "never reached the CA, so it is no failure");
}

int main(void)
{
    char root[] = "/tmp/pasgate-record-XXXXXX", clean[64];
    struct issue is = {.ca_set = &ca_set, .conf = &cert, .kind = JOB_ISSUE, .dir = -1};
    struct ca *ca = &ca_set.ca[FALLBACK_FIRST];

    if (!mkdtemp(root))
        return 1;
    conf.acme.store = root;
    cert.name = "a";
    cert.names = two;
    cert.n_names = names.n;
    ca->directory = "https://ca.test/dir";
    ca->rate_log.limits = (struct rate_log_limits){.failures = 60, .orders = 250, .same = 4};
    ca->dir = kvfile_open(root, "accounts", "ca.test=2fdir", true);
    ok(ca->dir >= 0, "a directory");
    is.order.begun_s = clock_wall_ms() / 1000;
    test_records(&is, ca);
    test_full(&is, ca);
    test_store(&is, ca);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
