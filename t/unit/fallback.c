/* What is tried after a failure: CAs and kinds of challenges; and the preflight's verdicts. */
#include "acmed/net/preflight.h"
#include "acmed/order/problem_text.h"
#include "t/unit/tap.h"

static const char *const all[] = {"http-01", "tls-alpn-01", "dns-01"};

static struct job_problem problem(const char *type, const char *name, enum job_challenge kind)
{
    struct job_problem p = {.challenge = kind};

    snprintf(p.type, sizeof p.type, "%s", type);
    snprintf(p.name, sizeof p.name, "%s", name);
    return p;
}

static bool fitting_are(const char *name, const char *second, size_t n_configured,
                        const char *want)
{
    const char *const names[] = {name, second};
    enum job_challenge kinds[JOB_CHALLENGES];
    size_t n = fallback_fitting(names, second ? 2 : 1, all, n_configured, kinds);
    char got[JOB_CHALLENGES + 1] = "";

    for (size_t i = 0; i < n; i++)
        got[i] = (char)('0' + kinds[i]);
    return strcmp(got, want) == 0;
}

static void test_fitting(void)
{
    ok(fitting_are("a.test", NULL, 0, "12"), "not given: http-01, then tls-alpn-01");
    ok(fitting_are("a.test", NULL, 3, "123"), "all that are configured, in their order");
    ok(fitting_are("*.a.test", NULL, 3, "3"), "a wildcard: dns-01 only");
    ok(fitting_are("*.a.test", NULL, 2, ""), "which may leave nothing");
    ok(fitting_are("192.0.2.1", NULL, 3, "12") && fitting_are("2001:db8::1", NULL, 3, "12"),
       "an address: never dns-01");
    ok(fitting_are("*.a.test", "a.test", 3, "123"),
       "of several names, what any of them can use");
}

static void test_hook(void)
{
    const struct order_options one = {.kinds = {JOB_DNS_01}, .n_kinds = 1, .staging = true};
    struct fallback l = {.ca_failures = 2};
    struct job_problem p = problem("net.hook", "", JOB_DNS_01);

    ok(!fallback_failed(&l, &one, FALLBACK_FIRST, &p), "a hook that fails, and no other kind");
    ok(fallback_ca(&l, &one) == FALLBACK_FIRST && l.ca_failures == 2,
       "is not tried at staging, and says nothing of the CA");
    l.dry_run_first = 1;
    fallback_failed(&l, &one, FALLBACK_STAGING, &p);
    is_int(fallback_ca(&l, &one), FALLBACK_STAGING, "nor does it end a staging dry run");
}

static bool kinds_are(const struct fallback *l, const struct order_options *options,
                      const char *want)
{
    enum job_challenge kinds[JOB_CHALLENGES];
    char got[JOB_CHALLENGES + 1] = "";

    fallback_kinds(l, options, kinds);
    for (int i = 0; i < JOB_CHALLENGES && kinds[i]; i++)
        got[i] = (char)('0' + kinds[i]);
    return strcmp(got, want) == 0;
}

static const struct order_options three = {.kinds = {JOB_HTTP_01, JOB_TLS_ALPN_01, JOB_DNS_01},
                                           .n_kinds = 3};

static bool fails(struct fallback *l, enum job_challenge kind)
{
    struct job_problem p = problem("connection", "a.test", kind);

    return fallback_failed(l, &three, FALLBACK_FIRST, &p);
}

static void test_kinds(void)
{
    struct fallback l = {0};

    ok(kinds_are(&l, &three, "123"), "as configured");
    ok(fails(&l, JOB_HTTP_01) && kinds_are(&l, &three, "231"),
       "one that failed goes to the end");
    ok(fails(&l, JOB_TLS_ALPN_01) && kinds_are(&l, &three, "312"), "and the next one");
    ok(!fails(&l, JOB_DNS_01) && kinds_are(&l, &three, "123"),
       "all have failed: from the beginning, but not soon");
    fallback_succeeded(&l, FALLBACK_FIRST, JOB_DNS_01);
    ok(kinds_are(&l, &three, "312"), "the one that worked is first the next time");
    ok(fails(&l, JOB_DNS_01) && kinds_are(&l, &three, "123"), "until it fails");
    ok(!fails(&l, JOB_DNS_01) && kinds_are(&l, &three, "123"),
       "again, because a name needs it: not soon, so not for ever");
    l = (struct fallback){.kinds_failed = UINT32_MAX, .kind_worked = 77, .asked = 99};
    ok(kinds_are(&l, &three, "123"), "a state that makes no sense loses none");
    l = (struct fallback){.doubted = JOB_HTTP_01};
    ok(kinds_are(&l, &three, "231"), "a doubted one comes later");
    l = (struct fallback){.doubted = JOB_HTTP_01, .kinds_failed = 1 << JOB_TLS_ALPN_01};
    ok(kinds_are(&l, &three, "312"), "but before one that failed");
}

static const struct order_options both = {
    .staging = true, .second = true, .after = 3, .kinds = {JOB_HTTP_01}, .n_kinds = 1};

static void fail_at(struct fallback *l, enum fallback_ca ca, const char *type)
{
    struct job_problem p = problem(type, "", 0);

    fallback_failed(l, &both, ca, &p);
}

static void test_staging(void)
{
    struct fallback l = {0};

    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "the first CA at first");
    fail_at(&l, FALLBACK_FIRST, "connection");
    is_int(fallback_ca(&l, &both), FALLBACK_STAGING, "a name was not proved: staging dry run");
    fail_at(&l, FALLBACK_STAGING, "connection");
    is_int(fallback_ca(&l, &both), FALLBACK_STAGING, "again, while it fails there");
    ok(fallback_succeeded(&l, FALLBACK_STAGING, JOB_HTTP_01), "it was a staging dry run");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "then the first CA");
    ok(l.dry_run_passed, "which is known to have passed");
    fail_at(&l, FALLBACK_FIRST, "rejectedIdentifier");
    is_int(fallback_ca(&l, &both), FALLBACK_STAGING, "a refusal: staging, too");
    fail_at(&l, FALLBACK_STAGING, "serverInternal");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST,
           "a staging CA that is ill is not in the way");
    fail_at(&l, FALLBACK_FIRST, "net.connect");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "a CA that is down: no staging");
}

/* Staging has another account, other profiles and the same configuration. */
static void test_staging_cannot_tell(void)
{
    static const char *const types[] = {"net.refused", "net.config", "invalidProfile",
                                        "externalAccountRequired"};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct fallback l = {.ca_failures = 2};

        fail_at(&l, FALLBACK_FIRST, types[i]);
        is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "%s: staging could not explain it",
               types[i]);
        is_int(l.ca_failures, i ? 0 : 2, "  %s",
               i ? "the CA did respond" : "which says nothing of the CA");
        l.dry_run_first = 1;
        fail_at(&l, FALLBACK_STAGING, types[i]);
        is_int(fallback_ca(&l, &both), i ? FALLBACK_FIRST : FALLBACK_STAGING, "  %s",
               i ? "at staging: staging is the cause, and not in the way"
                 : "nor does it end a dry run");
    }
}

/* A required profile may be refused as malformed. */
static void test_staging_refuses_order(void)
{
    struct job_problem proof = {.type = "malformed", .challenge = JOB_HTTP_01};
    struct fallback l = {.dry_run_first = 1};

    fail_at(&l, FALLBACK_STAGING, "malformed");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST,
           "a refused order: staging is not in the way");
    l.dry_run_first = 1;
    fallback_failed(&l, &both, FALLBACK_STAGING, &proof);
    is_int(fallback_ca(&l, &both), FALLBACK_STAGING, "a refused proof: staging again");
}

static void test_second(void)
{
    struct fallback l = {0};

    fail_at(&l, FALLBACK_FIRST, "net.connect");
    fail_at(&l, FALLBACK_FIRST, "rateLimited");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "two failures of the CA");
    fail_at(&l, FALLBACK_FIRST, "serverInternal");
    is_int(fallback_ca(&l, &both), FALLBACK_SECOND, "the third: the second CA");
    fail_at(&l, FALLBACK_SECOND, "net.connect");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "down, too: both in turn");
    fail_at(&l, FALLBACK_FIRST, "net.connect");
    is_int(fallback_ca(&l, &both), FALLBACK_SECOND, "the second one again");
    ok(!fallback_succeeded(&l, FALLBACK_SECOND, JOB_HTTP_01),
       "it issues, and not as a dry run");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST, "the next renewal begins with the first");
    for (int i = 0; i < 9; i++)
        fail_at(&l, FALLBACK_FIRST, i == 7 ? "rejectedIdentifier" : "net.connect");
    is_int(fallback_ca(&l, &both), FALLBACK_FIRST,
           "a refusal is not the CA's fault, and counts anew");
    l.ca_failures = UINT32_MAX;
    fail_at(&l, FALLBACK_FIRST, "net.connect");
    is_int(fallback_ca(&l, &both), FALLBACK_SECOND, "the counter does not wrap");
}

static void test_faults(void)
{
    struct job_problem named = problem("unauthorized", "a.test", 0),
                       account = problem("unauthorized", "", 0),
                       odd = problem("strangeThing", "", 0);

    is_int(fallback_fault(&named), FALLBACK_FAULT_PROOF, "unauthorized of a name: its proof");
    is_int(fallback_fault(&account), FALLBACK_FAULT_CA, "of none: the account");
    is_int(fallback_fault(&odd), FALLBACK_FAULT_OURS, "what nobody knows: ours");
    odd.status = 503;
    is_int(fallback_fault(&odd), FALLBACK_FAULT_CA, "but with a 503: the CA's");
}

/* ---- preflight */

static enum preflight_verdict judged(const char *findings, struct fallback *l,
                                     const struct order_options *options, enum fallback_ca ca,
                                     uint32_t failures)
{
    struct preflight p;

    preflight_read(&p, str_from(findings), 0);
    return preflight_judge(&p, l, options, ca, failures);
}

static void test_reading(void)
{
    char text[TABLE_NOTE + 12] = "";
    struct preflight p;

    preflight_read(
        &p, STR("S a.test\nM b.test: no\nU c\nF CAA\nX odd\n\nM\nM \nM \x01x\nM last"), 0);
    ok(p.seen == 1 && p.missed == 2 && p.unsure == 1 && p.forbidden == 1,
       "findings are counted, nonsense is not");
    is_str(p.note[0], "CAA", "the worst one is first");
    is_str(p.note[1], "b.test: no", "then the others");
    preflight_read(&p, STR("M 1\nM 2\nM 3\nM 4\nM 5\nF 6\n"), -7200000);
    ok(strstr(p.note[0], "2 hours ahead") && strcmp(p.note[1], "6") == 0 &&
           strcmp(p.note[3], "2") == 0 && p.missed == 5,
       "of many, as many as there is room for");
    ok(!p.clock_behind, "a clock that is ahead does no harm yet");
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "M ", 2);
    text[TABLE_NOTE - 8] = ' ';
    preflight_read(&p, str_make(text, TABLE_NOTE + 1), 0);
    ok(strlen(p.note[0]) == TABLE_NOTE - 1 && strstr(p.note[0], "aaa aaaaaaaa"),
       "one that just fits is whole");
    preflight_read(&p, str_make(text, sizeof text - 1), 0);
    ok(strstr(p.note[0], "aaa ...") && strlen(p.note[0]) < TABLE_NOTE,
       "of a longer one it is seen that it is cut");
    preflight_read(&p, STR_EMPTY, 86400000);
    ok(p.clock_behind, "one that is a day behind does");
    preflight_read(&p, STR_EMPTY, INT64_MIN + 1);
    ok(!p.clock_behind, "the end of all numbers");
}

static void test_verdicts(void)
{
    const struct order_options one = {.kinds = {JOB_HTTP_01}, .n_kinds = 1};
    struct preflight behind;
    struct fallback l = {0};

    is_int(judged("F CAA\n", &l, &three, FALLBACK_FIRST, 0), PREFLIGHT_HOLD, "CAA holds it");
    is_int(judged("F CAA\n", &l, &both, FALLBACK_STAGING, 0), PREFLIGHT_HOLD,
           "at staging, too");
    is_int(judged("S a\nM b\n", &l, &one, FALLBACK_FIRST, 3), PREFLIGHT_GO,
           "seen at one address: go");
    is_int(judged("M a\n", &l, &one, FALLBACK_FIRST, 0), PREFLIGHT_GO,
           "never seen: but try once");
    is_int(judged("M a\n", &l, &one, FALLBACK_FIRST, 1), PREFLIGHT_GO,
           "after a failure, too: only the CA knows");
    is_int(judged("U a\n", &l, &one, FALLBACK_FIRST, 3), PREFLIGHT_GO, "unsure: go");
    preflight_read(&behind, STR_EMPTY, 86400000);
    is_int(preflight_judge(&behind, &l, &one, FALLBACK_FIRST, 0), PREFLIGHT_GO,
           "a clock that is a day behind: try once");
    is_int(preflight_judge(&behind, &l, &one, FALLBACK_FIRST, 1), PREFLIGHT_HOLD, "then hold");
    is_int(preflight_judge(&behind, &l, &one, FALLBACK_FIRST, 2), PREFLIGHT_GO,
           "but every second time only");
    is_int(preflight_judge(&behind, &l, &one, FALLBACK_FIRST, 3), PREFLIGHT_HOLD, "and so on");
    l = (struct fallback){0};
    is_int(judged("M a\n", &l, &three, FALLBACK_FIRST, 0), PREFLIGHT_GO,
           "another kind is there");
    ok(kinds_are(&l, &three, "231"), "and comes first");
    is_int(judged("S a\n", &l, &three, FALLBACK_FIRST, 0), PREFLIGHT_GO, "seen again");
    ok(kinds_are(&l, &three, "123"), "no doubt any more");
    l = (struct fallback){.kind_worked = JOB_HTTP_01};
    judged("M a\n", &l, &three, FALLBACK_FIRST, 0);
    ok(kinds_are(&l, &three, "123"), "what worked before is not doubted");
    l = (struct fallback){0};
    is_int(judged("M a\n", &l, &both, FALLBACK_FIRST, 0), PREFLIGHT_DRY_RUN,
           "with a staging CA: there first");
    is_int(fallback_ca(&l, &both), FALLBACK_STAGING, "which the fallback knows");
    is_int(judged("M a\n", &l, &both, FALLBACK_STAGING, 1), PREFLIGHT_GO,
           "a staging dry run may fail");
    fallback_succeeded(&l, FALLBACK_STAGING, JOB_HTTP_01);
    is_int(judged("M a\n", &l, &both, FALLBACK_FIRST, 1), PREFLIGHT_GO,
           "the dry run passed: the marker was wrong (a NAT)");
}

/* ---- words */

static bool says(const char *type, const char *name, int64_t off, const char *want)
{
    struct job_problem p = problem(type, name, 0);
    char text[PROBLEM_TEXT_SIZE];

    snprintf(p.detail, sizeof p.detail, "its words");
    if (strstr(problem_text_for(&p, off, text, sizeof text), want))
        return true;
    diag("%s: %s", type, text);
    return false;
}

static void test_words(void)
{
    static const char *const types[] = {"accountDoesNotExist",
                                        "alreadyReplaced",
                                        "alreadyRevoked",
                                        "badCSR",
                                        "badNonce",
                                        "badPublicKey",
                                        "badRevocationReason",
                                        "badSignatureAlgorithm",
                                        "caa",
                                        "compound",
                                        "connection",
                                        "dns",
                                        "externalAccountRequired",
                                        "incorrectResponse",
                                        "invalidContact",
                                        "invalidProfile",
                                        "malformed",
                                        "orderNotReady",
                                        "rateLimited",
                                        "rejectedIdentifier",
                                        "serverInternal",
                                        "tls",
                                        "unauthorized",
                                        "unsupportedContact",
                                        "unsupportedIdentifier",
                                        "userActionRequired"};
    struct job_problem p = problem("rejectedIdentifier", "", 0);
    char small[40], want[64], text[PROBLEM_TEXT_SIZE];

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(want, sizeof want, " (%s: its words)", types[i]);
        ok(says(types[i], "", 0, want) && says(types[i], "a.test", 0, want) &&
               !says(types[i], "", 0, "the CA refuses ("),
           "%s has words of ours, and keeps the CA's", types[i]);
    }
    ok(says("rejectedIdentifier", "a.test", 0, "does not sign a.test; remove it"),
       "the identifier is named");
    ok(says("new", "a.test", 0, "the CA refuses a.test (new: its words)"), "one of the future");
    p = problem("about:blank", "", 0);
    p.status = 400;
    is_str(problem_text_for(&p, 0, text, sizeof text), "the CA refuses (status 400)",
           "no type: the status");
    snprintf(p.detail, sizeof p.detail, "its words");
    is_str(problem_text_for(&p, 0, text, sizeof text), "the CA refuses (status 400: its words)",
           "  and the detail");
    ok(says("net.connect", "", 0, "its words") && !says("net.connect", "", 0, "net.connect"),
       "ours are said as they are");
    ok(says("dns", "", 86400000, "the clock here is 24 hours behind the CA's; the CA cannot"),
       "a clock that is wrong is said first");
    p = problem("unauthorized", "*.a.test", 0);
    p.challenge = JOB_DNS_01;
    problem_text_for(&p, 0, text, sizeof text);
    ok(strstr(text, "the zone of _acme-challenge.a.test, ") && strstr(text, "a CNAME there") &&
           strstr(text, "acme.hook") && !strstr(text, "in front of pasgate"),
       "dns-01: where its record belongs, and not to another web server");
    p = problem("rejectedIdentifier", "", 0);
    memset(p.name, 'x', sizeof p.name - 1);
    memset(p.detail, 'y', sizeof p.detail - 1);
    ok(strlen(problem_text_for(&p, INT64_MAX, small, sizeof small)) == sizeof small - 1,
       "cut to fit");
}

static const char *named(const char *type, const char *detail)
{
    static const char *const names[] = {"shop.test", "*.shop.test", "192.0.2.1", "::1"};
    static struct job_problem p;

    p = problem(type, "", 0);
    snprintf(p.detail, sizeof p.detail, "%s", detail);
    problem_text_find_name(&p, names, sizeof names / sizeof *names);
    return p.name;
}

static void test_names(void)
{
    struct job_problem p = problem("dns", "a.test", 0);
    const char *const other = "b.test";

    is_str(named("rejectedIdentifier", "not for \"shop.test\""), "shop.test", "in its words");
    is_str(named("dns", "Shop.Test: no A"), "shop.test", "in capitals, before a colon");
    is_str(named("dns", "no A for shop.test."), "shop.test", "before a full stop");
    is_str(named("dns", "no A for www.shop.test"), "", "not as the end of another one");
    is_str(named("dns", "no A for shop.test.example"), "", "nor as its beginning");
    is_str(named("caa", "CAA of *.shop.test"), "*.shop.test", "a wildcard is another name");
    is_str(named("connection", "192.0.2.1:80 refused"), "", "an address with a port: no");
    is_str(named("connection", "to ::1"), "::1", "an address");
    is_str(named("net.connect", "shop.test: not found"), "", "our own words need none");
    is_str(named("dns", ""), "", "nothing said");
    snprintf(p.detail, sizeof p.detail, "b.test");
    problem_text_find_name(&p, &other, 1);
    is_str(p.name, "a.test", "what the CA tells apart is not replaced");
}

static const char *of_ca(enum fallback_ca ca, const char *text, size_t cap)
{
    static char out[128];

    snprintf(out, sizeof out, "%s", text);
    problem_text_of_ca(ca, out, cap);
    return out;
}

static void test_which_ca(void)
{
    static const char text[] = "set acme.eab, acme.email or acme.email";

    is_str(of_ca(FALLBACK_FIRST, text, 128), text, "the first CA needs no name");
    is_str(of_ca(FALLBACK_STAGING, text, 128),
           "staging dry run: set acme.eab, acme.email or acme.email", "staging is told");
    is_str(of_ca(FALLBACK_SECOND, text, 128),
           "second CA: set acme.fallback.eab, acme.fallback.email or acme.fallback.email",
           "the second CA has settings of its own");
    is_str(of_ca(FALLBACK_SECOND, "acme.resolver, acme.hook", 128),
           "second CA: acme.resolver, acme.hook", "but not of all kinds");
    is_str(of_ca(FALLBACK_STAGING, "abcdef", 20), "staging dry run: ab", "cut off at the end");
    is_str(of_ca(FALLBACK_STAGING, "abcdef", 7), "abcdef", "without space it stays");
}

int main(void)
{
    test_which_ca();
    test_fitting();
    test_hook();
    test_kinds();
    test_staging();
    test_staging_cannot_tell();
    test_staging_refuses_order();
    test_second();
    test_faults();
    test_reading();
    test_verdicts();
    test_words();
    test_names();
    return done();
}
