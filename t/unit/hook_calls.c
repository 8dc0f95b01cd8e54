/* Calls of the hook that end with acmed: how they are counted, and when no more follow. */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/hook_events.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/order/issue_dns.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/tap.h"

enum { PATIENCE = 2000, MANY = 3 * HOOK_CUTS };

static char root[] = "/tmp/pasgate-hook-calls-XXXXXX";
static char program[64], told[64];
static const char *const names[] = {"x.test"};
static const struct conf_cert cert = {.name = "x.test", .names = names, .n_names = 1};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct heritage heritage = {.conf = &conf};
static struct ca_set ca_set = {.heritage = &heritage, .forkserver = -1};
static struct store store = {.certs_fd = -1};

/* A hook that notes each call, then does this. */
static void script(const char *does)
{
    FILE *out = fopen(program, "w");

    fprintf(out, "#!/bin/sh\necho \"$PASGATE_EVENT\" >>%s\n%s\n", told, does);
    fclose(out);
    chmod(program, 0700);
    unlink(told);
}

static int calls(void)
{
    FILE *in = fopen(told, "r");
    int c, n = 0;

    while (in && (c = getc(in)) != EOF)
        n += c == '\n';
    if (in)
        fclose(in);
    return n;
}

static bool wait_calls(int n)
{
    for (int i = 0; i < PATIENCE && calls() < n; i++)
        usleep(10000);
    return calls() == n;
}

/* ---- of a generation that went live */

static void start(struct certificate *k)
{
    *k = (struct certificate){.heritage = &heritage, .conf = &cert, .store = &store};
    snprintf(k->row.name, sizeof k->row.name, "x.test");
    k->row.generation = 1;
    if (store_event(&store, "x.test", 1))
        hook_queue_deployed(&k->hook_queue, "renewed");
}

static void generation(void)
{
    struct pem_pair pair;
    char error[TABLE_REASON];

    if (selfsigned_make(names, 1, clock_wall_ms(), &pair, error) < 0 ||
        store_write(&store, "x.test", 0, &pair, CERT_FILE) != 1 ||
        store_put_event(&store, "x.test", 1, "renewed") < 0)
        abort();
    pem_pair_release(&pair);
}

/* Each call ends acmed in good order. */
static void test_cut(void)
{
    struct certificate k;
    int begun = 0;

    script("exec sleep 60");
    for (int i = 0; i < MANY; i++) {
        start(&k);
        hook_events_look(&k, clock_mono_ms());
        if (k.hook.pid)
            wait_calls(++begun);
        hook_events_release(&k);
    }
    is_int(begun, HOOK_CUTS, "cut by reloads: called often, but not without end");
    is_int(calls(), HOOK_CUTS, "by the hook's own count");
    ok(!store_event(&store, "x.test", 1), "no successor calls it");
}

/* It has ended when acmed does, and acmed has not looked. */
static void test_ended(void)
{
    struct certificate k;
    struct pollfd p;

    store_put_event(&store, "x.test", 1, "renewed");
    script("exit 0");
    start(&k);
    hook_events_look(&k, clock_mono_ms());
    p = (struct pollfd){.fd = k.hook.fd, .events = POLLIN};
    ok(k.hook.pid && poll(&p, 1, 10 * PATIENCE) == 1, "a call that has ended");
    hook_events_release(&k);
    ok(!store_event(&store, "x.test", 1), "is not repeated");
}

/* ---- dns-01 */

static void issue_start(struct issue *is)
{
    issue_init(is, &ca_set, &cert, "x.test", 0);
}

static struct dns_record *record(struct issue *is, enum dns_record_state state)
{
    struct dns_record *r =
        dns_records_find(&is->dns.records, "x.test", "_acme-challenge.x.test", "v", true);

    r->state = state;
    return r;
}

static void test_drop(void)
{
    struct issue is;
    int begun = 0;

    script("exec sleep 60");
    issue_start(&is);
    record(&is, DNS_RECORD_GOES);
    dns_records_save(is.dir, &is.dns.records);
    issue_release(&is);
    for (int i = 0; i < MANY; i++) {
        issue_start(&is);
        issue_dns_look(&is, clock_mono_ms());
        if (is.dns.hook.pid)
            wait_calls(++begun);
        issue_release(&is);
    }
    is_int(begun, DNS_RECORD_CUTS, "dns-drop, cut by reloads: not one of the three calls");
    issue_start(&is);
    is_int(is.dns.records.n, 0, "in the end it is left behind");
    issue_release(&is);
}

/* The run that waits for it is not part of this: what it would be told is looked at. */
static void put(struct issue *is)
{
    const struct dns_record *r =
        dns_records_find(&is->dns.records, "x.test", "_acme-challenge.x.test", "v", false);

    is->dns.put = *r;
    is->dns.waits = true;
    issue_dns_look(is, clock_mono_ms());
    is->dns.waits = false;
}

static void test_put(void)
{
    struct issue is;
    struct dns_record *r;

    script("exec sleep 60");
    issue_start(&is);
    r = record(&is, DNS_RECORD_HALF);
    r->tries = 1;
    put(&is);
    ok(is.dns.hook.pid && wait_calls(1), "dns-put runs");
    issue_release(&is);
    issue_start(&is);
    r = is.dns.records.list;
    ok(is.dns.records.n == 1 && r->tries == 0 && r->cut == 1, "cut by a reload: counted");
    put(&is);
    ok(is.dns.hook.pid, "called once more");
    issue_dns_end_run(&is);
    is_int(is.dns.records.list->cut, 0, "a run that ends forgets it");
    issue_release(&is);
}

/* A run that is over, so that what it is told goes nowhere: each of its flags is set. */
static struct job_run *run_over(void)
{
    static max_align_t run[4096];

    memset(run, 1, sizeof run);
    return (struct job_run *)run;
}

/* One that was to be removed is needed again. */
static void test_again(void)
{
    const struct job_event event = {
        .name = "x.test", .target = "_acme-challenge.x.test", .value = "v"};
    struct issue is;
    struct dns_record *r;

    script("exec sleep 60");
    issue_start(&is);
    r = record(&is, DNS_RECORD_GOES);
    r->tries = DNS_RECORD_TRIES;
    ok(mkdirat(is.dir, ".new-records", 0700) == 0, "the store cannot be written");
    is.run = run_over();
    issue_dns_put(&is, &event);
    is.run = NULL;
    ok(!is.dns.hook.pid && r->tries == 0, "needed again: what is not called is not counted");
    ok(unlinkat(is.dir, ".new-records", AT_REMOVEDIR) == 0, "it can be");
    r->state = DNS_RECORD_GOES;
    r->tries = DNS_RECORD_TRIES - 1;
    issue_dns_put(&is, &event);
    ok(is.dns.hook.pid && r->state == DNS_RECORD_HALF, "calls to remove it are not its own");
    is_int(r->tries, 1, "this is the first");
    is.dns.waits = false;
    issue_release(&is);
}

int main(void)
{
    char clean[64];

    heritage.table = aligned_alloc(TABLE_PAGE, sizeof *heritage.table);
    if (!mkdtemp(root) || !heritage.table)
        return 1;
    memset(heritage.table, 0, sizeof *heritage.table);
    snprintf(program, sizeof program, "%s/hook", root);
    snprintf(told, sizeof told, "%s/told", root);
    conf.acme = (struct conf_acme){.store = root, .hook = program};
    is_int(hook_open(program), 0, "who starts it");
    if (store_open(&store, root) < 0)
        return 1;
    generation();
    test_cut();
    test_ended();
    test_drop();
    test_put();
    test_again();
    hook_close();
    store_release(&store);
    free(heritage.table);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
