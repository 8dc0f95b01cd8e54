/* Operations on an account: which of its two keys is valid, and which setting its contact comes
 * from. The network helper is scripted here. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/certificate_data.h"
#include "acmed/cert/reply.h"
#include "acmed/cert/request.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/key/secret.h"
#include "acmed/order/account_op.h"
#include "acmed/order/backoff.h"
#include "acmed/order/issue_core.h"
#include "acmed/order/kvfile.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-account-op-XXXXXX";
static const char *const names[] = {"x.test"};
static const struct conf_cert cert = {
    .name = "x.test", .names = names, .n_names = 1, .source = CONF_CERT_ACME};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct heritage heritage = {.conf = &conf};
static struct ca_set ca_set;

/* ---- instead of order/job.c */

static struct job_event says;
static int started;

static bool no_fork;

int job_open(void)
{
    errno = EAGAIN;
    return no_fork ? -1 : 0;
}

struct job_run *job_start(int forkserver, const struct job *job, const struct signer_keys *keys,
                          struct table *table)
{
    (void)forkserver, (void)job, (void)keys, (void)table;
    started++;
    return (struct job_run *)&says;
}

int job_fd(const struct job_run *run)
{
    (void)run;
    return -1;
}

uint64_t job_due_ms(const struct job_run *run)
{
    (void)run;
    return UINT64_MAX;
}

void job_serve(struct job_run *run, struct job_event *event)
{
    (void)run;
    *event = says;
}

void job_reply(struct job_run *run, bool go_on)
{
    (void)run, (void)go_on;
}

void job_end(struct job_run *run)
{
    (void)run;
}

/* ---- two keys */

static struct ca *ready(enum fallback_ca which)
{
    struct ca *ca = &ca_set.ca[which];
    char error[TABLE_ERROR];

    ok(ca_set_ready(&ca_set, ca, error), "an account's key");
    ok(ca_set_account_is(ca, "https://ca.test/account/1"), "and its URL");
    return ca;
}

static void test_doubt(void)
{
    struct ca *ca = ready(FALLBACK_FIRST);
    struct account_op op = {0};
    size_t n = 0;
    char *kept;

    is_int(account_save_next(ca->dir, "next", 4), 0, "a rollover that was not finished");
    ok(account_op_rollover(&op, &ca_set, ca) == account_op_doubt, "another one is refused");
    ok(account_op_close(&op, &ca_set, ca) == account_op_doubt, "and to close the account");
    ok(account_op_later(account_op_doubt), "for a while");
    kept = account_load_next(ca->dir, &n);
    ok(kept && n == 4 && memcmp(kept, "next", 4) == 0, "the key that may be valid is kept");
    secret_free(kept);
}

/* It is a file that is there, and cannot be read; also not by root. */
static void test_unread(void)
{
    struct ca *ca = &ca_set.ca[FALLBACK_FIRST];
    struct account_op op = {0};
    struct stat st;

    account_drop_next(ca->dir);
    ok(mknodat(ca->dir, "next.pem", S_IFSOCK | 0600, 0) == 0, "a next key, not readable");
    ok(account_op_rollover(&op, &ca_set, ca) == account_op_doubt, "it is not replaced");
    ok(account_op_unsettled(&op, &ca_set, ca, 1000) && !account_op_runs(&op),
       "nothing is ordered, or asked");
    ok(!ca->settled && fstatat(ca->dir, "next.pem", &st, 0) == 0 && S_ISSOCK(st.st_mode),
       "it is still there");
    fd_close(&ca->dir); /* as after a start */
    ca_set_look(&ca_set);
    ok(strstr(ca_set.unusable, "next.pem cannot be read (No such device or address), and may"),
       "the status tells: %s", ca_set.unusable);
    ready(FALLBACK_FIRST);
    account_drop_next(ca->dir);
    account_save_next(ca->dir, "next", 4);
    ca->settle_ms = 0;
}

static void test_settle(void)
{
    struct ca *ca = &ca_set.ca[FALLBACK_FIRST];
    struct account_op op = {0};
    char error[TABLE_ERROR] = "";

    ok(account_op_unsettled(&op, &ca_set, ca, 1000) && account_op_runs(&op), "the CA is asked");
    account_drop_next(ca->dir); /* the disk fails */
    says = (struct job_event){.type = JOB_DONE};
    is_int(account_op_tick(&op, error), ACCOUNT_OP_FAILED, "the key cannot be taken: %s",
           error);
    ok(!ca->settled, "it is asked again");
    is_int(ca->settle_n, 1, "later each time");
    account_op_release(&op);
    account_save_next(ca->dir, "next", 4);
    ok(account_op_unsettled(&op, &ca_set, ca, 1000) && !account_op_runs(&op), "not at once");
    ok(account_op_unsettled(&op, &ca_set, ca, 1000 + 2 * ACCOUNT_OP_AGAIN_MS) &&
           account_op_runs(&op),
       "but after a while");
    is_int(account_op_tick(&op, error), ACCOUNT_OP_DONE, "the key is taken");
    ok(ca->settled && ca->settle_n == 0, "all is known");
    account_op_release(&op);
}

/* The operator does not wait until acmed would try again. */
static void test_by_hand(void)
{
    static struct store store = {.certs_fd = -1};
    struct certificate k = {.heritage = &heritage, .conf = &cert, .store = &store};
    struct ca *ca = &ca_set.ca[FALLBACK_FIRST];

    is_int(store_open(&store, root), 0, "the store");
    snprintf(k.row.name, sizeof k.row.name, "x.test");
    issue_init(&k.issue, &ca_set, &cert, k.row.name, 0);
    account_save_next(ca->dir, "next", 4);
    ca->settled = false;
    ca->settle_ms = UINT64_MAX;
    ok(!request_start(&k, CERT_RENEW, 0, 1000), "nothing is ordered");
    is_str(k.row.reply, "", "though it is wanted");
    ok(account_op_runs(&k.op), "but the CA is asked at once");
    account_op_release(&k.op);
    issue_release(&k.issue);
    account_drop_next(ca->dir);
    store_release(&store);
}

/* What was imported may be from a CA that nothing is ordered from. */
static void revoke_fails(const char *type, uint32_t status, char reply[TABLE_ERROR])
{
    static struct store store = {.certs_fd = -1};
    struct certificate k = {.heritage = &heritage,
                            .conf = &cert,
                            .store = &store,
                            .row = {.name = "x.test", .issuer = "Other CA", .generation = 4}};
    struct ca *ca = ready(FALLBACK_FIRST);
    struct pem_pair pair = {0};

    ok(!account_op_revoke(&k.op, &ca_set, ca, &pair, 4, 0), "a revocation begins");
    k.op.by_key = true; /* the account was refused before */
    says = (struct job_event){.type = JOB_FAILED, .problem = {.status = status}};
    snprintf(says.problem.type, sizeof says.problem.type, "%s", type);
    snprintf(says.problem.detail, sizeof says.problem.detail, "its words");
    request_tick(&k, 1000);
    snprintf(reply, TABLE_ERROR, "%s", k.row.reply);
}

static void test_revoke(void)
{
    char reply[TABLE_ERROR], want[TABLE_ERROR], logged[1024];
    char path[] = "/tmp/pasgate-account-op-log-XXXXXX";
    int fd = mkstemp(path);
    ssize_t n;

    revoke_fails("malformed", 404, reply);
    snprintf(
        want, sizeof want,
        "the CA says malformed: its words; its issuer is Other CA: if it was imported, and "
        "another CA signed it, revoke it there, with fullchain.pem and key.pem of "
        "%s/certs/x.test/4",
        root);
    is_str(reply, want, "a CA that does not know it: who may");
    revoke_fails("notFound", 404, reply);
    is_str(strstr(reply, "its issuer is Other CA") ? "yes" : reply, "yes", "by its status");
    unlink(path);
    log_to_fd(fd);
    revoke_fails("serverInternal", 500, reply);
    log_to_fd(STDERR_FILENO);
    is_str(reply, "the CA says serverInternal: its words", "other failures say nothing of it");
    n = pread(fd, logged, sizeof logged - 1, 0);
    logged[n > 0 ? n : 0] = '\0';
    ok(strstr(logged, "x.test: not revoked: the CA says serverInternal: its words"),
       "the log says what was asked for: %s", logged);
    close(fd);
}

/* ---- what a successor tells a command that waits */

static bool wanted_on_disk(void)
{
    struct cert_state state = {0};
    int fd = kvfile_open(root, "orders", "x.test", false);

    if (fd >= 0)
        cert_state_load(fd, &state);
    fd_close(&fd);
    return state.wanted;
}

static bool too_early; /* the row says that an order is awaited, and the disk does not know */

/* A kill at any of these moments. Instead of libc's. */
int fsync(int fd)
{
    struct cert_row row;

    if (heritage.table && cert_read(&heritage.table->cert[0], &row) &&
        row.replies[0].state == CERT_REPLY_ORDERS)
        too_early |= !wanted_on_disk();
    return fdatasync(fd);
}

static void test_noted_first(void)
{
    static struct store store = {.certs_fd = -1};
    struct certificate k = {.heritage = &heritage,
                            .conf = &cert,
                            .store = &store,
                            .row = {.name = "x.test", .generation = 4, .busy = 1}};
    struct ca *ca = ready(FALLBACK_FIRST);
    struct pem_pair pair;
    char error[TABLE_REASON];

    if (selfsigned_make(names, 1, clock_wall_ms(), &pair, error) < 0)
        abort();
    issue_init(&k.issue, &ca_set, &cert, k.row.name, 0);
    k.issue.state.wanted = 0;
    issue_save_state(&k.issue);
    ok(!account_op_revoke(&k.op, &ca_set, ca, &pair, 4, 0), "a revocation begins");
    reply_accept(&k.row, CERT_REVOKE, 1, 4);
    says = (struct job_event){.type = JOB_DONE};
    request_tick(&k, 1000);
    is_int(k.row.replies[0].state, CERT_REPLY_ORDERS, "revoked: its replacement is awaited");
    ok(wanted_on_disk(), "also by a successor");
    ok(!too_early, "which knew it before the command did");

    k.issue.run = (struct job_run *)&says;
    k.issue.kind = JOB_ISSUE;
    k.issue.state.wanted = 0;
    issue_save_state(&k.issue);
    ok(!issue_want(&k.issue, &(struct issue_live){0}, false), "an order runs already");
    ok(wanted_on_disk(), "a successor that continues it tells how it ends");
    k.issue.run = NULL;
    issue_hold(&k.issue, clock_wall_ms() + 7200000);
    ok(k.issue.state.next_try <= clock_wall_ms() + 3600000, "held for half of the time left");
    issue_hold(&k.issue, clock_wall_ms() + UINT64_C(60) * BACKOFF_DAY_MS);
    ok(k.issue.state.next_try > clock_wall_ms() + 23 * 3600000, "or for a day");
    account_op_release(&k.op);
    issue_release(&k.issue);
}

/* A host without processes left: the next acmed may have one. */
static void test_no_helper(void)
{
    static struct ca_set set;
    struct account_op op = {0};
    struct issue is = {.ca_set = &set, .dir = -1};
    const char *words = "the network helper cannot be started: Resource temporarily "
                        "unavailable; it is started again within a minute, and until then "
                        "nothing is ordered";

    no_fork = conf.acme.agree_tos = true;
    ca_set_init(&set, &heritage);
    no_fork = conf.acme.agree_tos = false;
    ca_set_look(&set);
    is_str(set.unusable, words, "no helper: the status tells");
    is_str(issue_want(&is, &(struct issue_live){0}, true), words, "so does a renewal");
    is_str(account_op_close(&op, &set, &set.ca[FALLBACK_FIRST]), words, "and the account's");
    ca_set_release(&set);
}

/* ---- contact */

static void refused(enum fallback_ca which, char error[TABLE_ERROR])
{
    struct ca *ca = ready(which);
    struct account_op op = {0};

    ca->account.told = true;
    snprintf(ca->account.contact, sizeof ca->account.contact, "old@x.test");
    ca->contact_known = false;
    ca->contact_ms = 0;
    started = 0;
    account_op_tell_contact(&op, &ca_set, ca, 1000);
    is_int(started, 1, "the CA is told the contact");
    says = (struct job_event){.type = JOB_FAILED};
    snprintf(says.problem.type, sizeof says.problem.type, "invalidContact");
    snprintf(says.problem.detail, sizeof says.problem.detail, "no such domain");
    is_int(account_op_tick(&op, error), ACCOUNT_OP_FAILED, "and refuses it: %s", error);
    account_op_release(&op);
}

static void test_contact(void)
{
    char error[TABLE_ERROR];

    refused(FALLBACK_FIRST, error);
    ok(strstr(error, "refused acme.email, "), "the setting of the first CA");
    ok(!strstr(error, "fallback"), "which is the one to be set");
    refused(FALLBACK_SECOND, error);
    ok(strstr(error, "refused acme.email, ") && strstr(error, "as acme.fallback.email"),
       "the second CA got it too, and may have its own");
    ca_set_release(&ca_set);
    conf.acme.fallback.email = "second@x.test";
    ca_set_init(&ca_set, &heritage);
    ca_set.forkserver = 0;
    refused(FALLBACK_SECOND, error);
    ok(strstr(error, "refused acme.fallback.email, "), "the setting of the second CA");
}

int main(void)
{
    char clean[64];

    heritage.table = aligned_alloc(TABLE_PAGE, sizeof *heritage.table);
    if (!mkdtemp(root) || !heritage.table)
        return 1;
    memset(heritage.table, 0, sizeof *heritage.table);
    secret_init(SECRET_HEAP_IMPORT);
    conf.acme =
        (struct conf_acme){.store = root,
                           .hook = "",
                           .directory = "https://one.test/dir",
                           .email = "me@x.test",
                           .profile = "",
                           .staging = "",
                           .fallback = {.directory = "https://two.test/dir", .email = ""}};
    ca_set_init(&ca_set, &heritage);
    ca_set.forkserver = 0;
    test_doubt();
    test_unread();
    test_settle();
    test_by_hand();
    test_revoke();
    test_noted_first();
    test_no_helper();
    test_contact();
    ca_set.forkserver = -1;
    ca_set_release(&ca_set);
    free(heritage.table);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
    return done();
}
