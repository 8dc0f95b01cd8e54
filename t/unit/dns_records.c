/* The TXT records that the hook was asked for: kept over a restart, found again, taken away. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acmed/order/dns_records.h"
#include "acmed/order/issue_dns.h"
#include "acmed/order/kvfile.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-records-XXXXXX";
static int dir;

static struct dns_record *add(struct dns_records *records, const char *name, const char *value)
{
    char target[64];

    snprintf(target, sizeof target, "_acme-challenge.%s", name);
    return dns_records_find(records, name, target, value, true);
}

static void test_kept(void)
{
    struct dns_records records, again;
    char name[32];

    dns_records_load(dir, &records);
    is_int(records.n, 0, "at first none");
    add(&records, "a.test", "one")->state = DNS_RECORD_THERE;
    add(&records, "a.test", "two");
    add(&records, "b.test", "three")->state = DNS_RECORD_GOES;
    is_int(records.n, 3, "three, two of them of one name");
    ok(add(&records, "a.test", "one") == &records.list[0], "one is found again");
    records.list[1].tries = 2;
    records.list[2].cut = DNS_RECORD_CUTS;
    is_int(dns_records_save(dir, &records), 0, "written");
    is_int(dns_records_load(dir, &again), 0, "read");
    is_int(again.n, 3, "  all of them");
    ok(again.list[0].tries == 0 && again.list[1].tries == 2, "  calls that began are counted");
    ok(again.list[1].cut == 0 && again.list[2].cut == DNS_RECORD_CUTS,
       "  and those that were cut");
    ok(again.list[0].state == DNS_RECORD_THERE && again.list[1].state == DNS_RECORD_HALF &&
           again.list[2].state == DNS_RECORD_GOES,
       "as they were");
    is_str(again.list[2].target, "_acme-challenge.b.test", "where it stands");
    is_str(again.list[1].value, "two", "and what");
    ok(dns_records_next(&again, 0) == &again.list[2], "only one goes");
    again.list[2].due_ms = 10;
    ok(!dns_records_next(&again, 9) && dns_records_next(&again, 10), "when it is due");
    dns_records_remove(&again, &again.list[1]);
    ok(again.n == 2 && strcmp(again.list[1].value, "three") == 0, "one is removed");
    again.list[0].tries = 2;
    ok(dns_records_all_go(&again) && !dns_records_all_go(&again),
       "now all go, which is told once");
    is_int(again.list[0].tries, 0, "none was asked to go yet");
    dns_records_release(&again);
    is_int(dns_records_save(dir, &again), 0, "none are written");
    ok(faccessat(dir, "records", F_OK, 0) < 0, "as no file");
    for (int i = 0; i < 2 * DNS_RECORDS_MAX; i++) {
        snprintf(name, sizeof name, "n%d.test", i);
        if (!dns_records_find(&records, name, name, "v", true))
            break;
    }
    is_int(records.n, DNS_RECORDS_MAX, "there is a bound");
    is_int(dns_records_save(dir, &records), 0, "which can be written");
    dns_records_load(dir, &again);
    is_int(again.n, DNS_RECORDS_MAX, "and read");
    dns_records_release(&again);
    dns_records_release(&records);
}

static void test_damaged(void)
{
    static const char *const bad[] = {
        "there=a.test _acme-challenge.a.test\n",
        "gone=a.test t.test v\n",
        "goes=a.test t.test v w\n",
        "goes=a.test t.test v 4\n",
        "goes=a.test t.test v 1 \n",
        "goes=a.test t.test v 1 11\n",
        "goes=a.test t.test v 1 1 1\n",
        "goes=a.test t.test v 1 w\n",
        "goes=a.test t.test v\nhalf",
        "goes=a.test t.test \n",
        "goes=a.test t.test 12345678901234567890123456789012345678901234\n"};
    struct dns_records records;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        kvfile_write(dir, "records", bad[i], strlen(bad[i]));
        is_int(dns_records_load(dir, &records), -1, "damaged, way %zu", i);
        is_int(records.n, 0, "  which counts as none");
        dns_records_release(&records);
    }
}

/* A minute for each of a hundred names is more than any order may take otherwise. */
static void test_time(void)
{
    is_int(issue_dns_run_ms(0, 0), 0, "without names no more time");
    ok(issue_dns_run_ms(100, 0) >= 100 * (uint64_t)HOOK_DEADLINE_MS,
       "a hook may use its time for each name");
    is_int(issue_dns_run_ms(3, 60000) - issue_dns_run_ms(3, 0), 60000,
           "and so may looking for records");
}

int main(void)
{
    char clean[64];

    if (!mkdtemp(root) || (dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return 1;
    test_kept();
    test_damaged();
    test_time();
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
