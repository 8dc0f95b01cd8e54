/* Documents of a CA: what is read, and what is refused. */
#include "acmed/net/acme_json.h"
#include "acmed/net/acme_request.h"

#include <stdlib.h>

#include "t/unit/tap.h"

static void test_directory(void)
{
    static const char good[] =
        "{\"newNonce\":\"https://ca.test/n\",\"newAccount\":\"https://ca.test/a\","
        "\"newOrder\":\"https://ca.test/o\",\"renewalInfo\":\"https://ca.test/ari\","
        "\"x\":\"anything\",\"meta\":{\"termsOfService\":\"https://ca.test/tos\","
        "\"externalAccountRequired\":true,\"profiles\":{\"classic\":\"90 "
        "d\",\"shortlived\":\"6 "
        "d\"}}}";
    struct acme_directory d;

    ok(acme_json_directory(str_from(good), &d), "a directory");
    is_str(d.new_order, "https://ca.test/o", "  newOrder");
    is_str(d.renewal_info, "https://ca.test/ari", "  renewalInfo");
    is_str(d.revoke_cert, "", "  what is not there is not there");
    is_str(d.profiles, "classic, shortlived", "  its profiles");
    ok(d.external_account_required, "  EAB is required");
    ok(acme_has_profile(&d, "shortlived") && !acme_has_profile(&d, "short") &&
           !acme_has_profile(&d, ""),
       "  a profile is found by its whole name");
    ok(!acme_json_directory(STR("{\"newNonce\":\"http://ca.test/n\",\"newAccount\":"
                                "\"https://ca.test/a\",\"newOrder\":\"https://ca.test/o\"}"),
                            &d),
       "refused: plain http");
    ok(!acme_json_directory(STR("{}"), &d), "refused: nothing in it");
    ok(!acme_json_directory(STR("<html>502 Bad Gateway</html>"), &d), "refused: HTML");
}

static void test_limits(void)
{
    static char deep[20001], big[ACME_JSON_MAX + 100];
    struct acme_problem p;

    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    ok(!acme_json_problem(str_from(deep), &p), "refused: 10,000 deep");
    memset(big, ' ', sizeof big - 1);
    memcpy(big, "{\"type\":\"x\"", 11);
    big[sizeof big - 2] = '}';
    ok(!acme_json_problem(str_from(big), &p), "refused: too big");
    ok(!acme_json_problem(STR("{\"type\":\"a\",\"type\":\"b\"}"), &p), "refused: twice");
    ok(!acme_json_problem(STR("[\"type\"]"), &p), "refused: not an object");
    ok(!acme_json_problem(STR_EMPTY, &p), "refused: nothing");
    ok(acme_json_problem(STR("{\"type\":\"[[[[[[[[[[[[[[[[\\\"{{{{\"}"), &p),
       "brackets in a string are no depth");
}

/* A problem of this detail and instance, each of so many bytes. */
static struct acme_problem sized(size_t detail, size_t instance)
{
    char text[4096], x[1024], y[2048];
    struct acme_problem p;

    memset(x, 'x', sizeof x);
    memset(y, 'y', sizeof y);
    snprintf(text, sizeof text,
             "{\"type\":\"t\",\"detail\":\"%.*s\",\"instance\":\"https://%.*s\"}", (int)detail,
             x, (int)instance - 8, y);
    ok(acme_json_problem(str_from(text), &p), "a detail of %zu, an instance of %zu", detail,
       instance);
    return p;
}

static void test_problem_sizes(void)
{
    struct acme_problem p = sized(1000, 8);

    ok(strlen(p.detail) < sizeof p.detail && strstr(p.detail, "x ...; see https://"),
       "  a long detail is cut visibly");
    p = sized(30, 400);
    is_int(strlen(p.detail), 30 + 6 + 400, "  a long URL is whole");
    p = sized(1000, 440);
    ok(strstr(p.detail, "x ...; see https://") && strlen(strstr(p.detail, "https://")) == 440,
       "  even if the detail must be cut");
    p = sized(30, 900);
    ok(strstr(p.detail, "x; see https://y") &&
           strstr(p.detail, "y ... (the first 300 of 900 bytes of a URL)"),
       "  a longer one is said to be longer");
    p = sized(30, 1500);
    ok(strstr(p.detail, "(the first 300 of 1500 bytes of a URL)"), "  of any length");
    acme_json_problem(
        STR("{\"type\":\"t\",\"detail\":\"d\",\"subproblems\":[{\"detail\":\"one\"},"
            "{\"detail\":\"two\"},{\"detail\":\"three\"}]}"),
        &p);
    is_str(p.detail, "one; and 2 more problems", "  how many more there are");
}

static void test_problem(void)
{
    struct acme_problem p;

    ok(acme_json_problem(STR("{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":"
                             "\"too\\nmany\\u001b[31m caf\\u00e9\",\"status\":429}"),
                         &p),
       "a problem");
    is_str(p.type, "rateLimited", "  type without its prefix");
    is_str(p.detail, "too?many?[31m caf??", "  printable text only");
    is_int(p.status, 429, "  status");
    ok(acme_json_problem(
           STR("{\"type\":\"t\",\"detail\":\"d\",\"status\":4.5,\"subproblems\":[{"
               "\"detail\":\"forbidden\",\"identifier\":{\"type\":\"dns\","
               "\"value\":\"a.test\"}}]}"),
           &p),
       "with a subproblem");
    is_str(p.name, "a.test", "  which names the identifier");
    is_str(p.detail, "forbidden", "  and says more");
    is_int(p.status, 0, "  a fraction is no status");
    ok(acme_json_problem(STR("{\"type\":\"t\",\"detail\":\"agree\","
                             "\"instance\":\"https://ca.test/terms?a=b\"}"),
                         &p),
       "with a page for people");
    is_str(p.detail, "agree; see https://ca.test/terms?a=b", "  which is told");
    acme_json_problem(STR("{\"type\":\"t\",\"detail\":\"d\",\"instance\":\"javascript:x\"}"),
                      &p);
    is_str(p.detail, "d", "  if it is one");
    char text[1200] = "{\"type\":\"t\",\"instance\":\"https://ca.test/t\",\"detail\":\"";
    memset(text + strlen(text), 'x', 1000);
    strcpy(text + strlen(text), "\"}");
    acme_json_problem(str_from(text), &p);
    is_str(strstr(p.detail, "; see"), "; see https://ca.test/t",
           "  also behind what is cut for it");
    ok(strstr(p.detail, "x ...; see"), "  and the cut is marked");
    test_problem_sizes();
}

static void test_order(void)
{
    static const char good[] =
        "{\"status\":\"pending\",\"expires\":\"2026-11-23T01:20:17Z\","
        "\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],"
        "\"authorizations\":[\"https://ca.test/z/1\"],\"finalize\":\"https://ca.test/f/1\"}";
    struct acme_order *o = malloc(sizeof *o);

    ok(acme_json_order(str_from(good), o), "an order");
    is_int(o->status, ACME_PENDING, "  pending");
    is_int(o->expires_wall_ms, INT64_C(1795396817000), "  expires");
    is_str(o->authorizations[0], "https://ca.test/z/1", "  its authorization");
    is_str(o->certificate, "", "  no certificate yet");
    is_str(o->error.type, "", "  no error");
    ok(!acme_json_order(STR("{\"status\":\"odd\"}"), o), "refused: an odd status");
    ok(!acme_json_order(STR("{\"status\":\"ready\",\"identifiers\":[],\"authorizations\":[],"
                            "\"finalize\":\"https://ca.test/f\"}"),
                        o),
       "refused: for nothing");
    ok(!acme_json_order(STR("{\"status\":\"ready\",\"identifiers\":[{\"value\":\"a\"}],"
                            "\"authorizations\":[7],\"finalize\":\"https://ca.test/f\"}"),
                        o),
       "refused: a number for a URL");
    free(o);
}

static void test_authorization(void)
{
    struct acme_authorization a;

    ok(acme_json_authorization(
           STR("{\"status\":\"pending\",\"identifier\":{\"type\":\"ip\",\"value\":\"192.0.2."
               "1\"},"
               "\"challenges\":[{\"type\":\"future-07\"},{\"type\":\"http-01\",\"status\":"
               "\"pending\",\"url\":\"https://ca.test/c\",\"token\":\"abc-_9\"}]}"),
           &a),
       "an authorization");
    ok(a.ip && !a.wildcard, "  for an IP address");
    is_int(a.n_challenges, 1, "  unknown kinds of challenge are passed over");
    is_int(a.challenges[0].kind, JOB_HTTP_01, "  http-01 is known");
    is_str(a.challenges[0].token, "abc-_9", "  its token");
    ok(!acme_json_authorization(
           STR("{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"},"
               "\"challenges\":[{\"type\":\"http-01\",\"status\":\"pending\",\"url\":"
               "\"https://ca.test/c\",\"token\":\"../../etc/passwd\"}]}"),
           &a),
       "refused: a token that is a path");
}

static void test_renewal(void)
{
    struct acme_renewal r;

    ok(acme_json_renewal(
           STR("{\"suggestedWindow\":{\"start\":\"2026-01-01T00:00:00Z\",\"end\":"
               "\"2026-01-02T00:00:00.5+01:00\"},\"explanationURL\":\"https://x\"}"),
           &r),
       "renewal information");
    is_int(r.end_wall_ms - r.start_wall_ms, 23 * 3600 * 1000, "  its window");
    is_str(r.explanation, "https://x", "  the reason");
    ok(!acme_json_renewal(
           STR("{\"suggestedWindow\":{\"start\":\"2026-01-02T00:00:00Z\",\"end\":"
               "\"2026-01-02T00:00:00Z\"}}"),
           &r),
       "refused: it ends where it starts");
    ok(!acme_json_renewal(STR("any text"), &r), "refused: any text");
}

static void test_times(void)
{
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T01:20:17",
                                      "2026-13-23T01:20:17Z",
                                      "2026-11-23T25:20:17Z",
                                      "2026-11-23T01:20:17Zx",
                                      "2026-11-23T01:20:17+1:00",
                                      "1960-01-01T00:00:00Z",
                                      "-026-11-23T01:20:17Z"};

    is_int(acme_time_ms("1970-01-01T00:00:01Z"), 1000, "one second");
    is_int(acme_time_ms("2026-11-23T03:20:17.123456789+02:00"), INT64_C(1795396817000),
           "fraction and offset");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        is_int(acme_time_ms(bad[i]), 0, "no time: '%s'", bad[i]);
}

static void is_heap(char *got, const char *want, const char *what)
{
    is_str(got, want, "%s", what);
    free(got);
}

static void test_requests(void)
{
    is_heap(acme_request_new_account("a@b.test", true, false, ""),
            "{\"contact\":[\"mailto:a@b.test\"],\"termsOfServiceAgreed\":true}", "new account");
    is_heap(acme_request_new_account("a@b.test", true, true, ""),
            "{\"onlyReturnExisting\":true}", "an old one");
    is_heap(acme_request_new_account("", true, false, "{\"payload\":\"x\"}"),
            "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":{\"payload\":\"x\"}}",
            "with EAB");
    is_heap(
        acme_request_new_order(STR("a.test\n*.b.test\n192.0.2.1\n2001:db8::1"), "", NULL),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"},{\"type\":\"dns\",\"value\":"
        "\"*.b.test\"},{\"type\":\"ip\",\"value\":\"192.0.2.1\"},{\"type\":\"ip\",\"value\":"
        "\"2001:db8::1\"}]}",
        "new order");
    is_heap(
        acme_request_new_order(STR("a.test"), "shortlived", "x.y"),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],\"profile\":\"shortlived\","
        "\"replaces\":\"x.y\"}",
        "with profile and replaces");
    is_heap(acme_request_one("csr", "a\"b"), "{\"csr\":\"a\\\"b\"}", "quotes are escaped");
    is_heap(acme_request_revoke("AA", 4), "{\"certificate\":\"AA\",\"reason\":4}",
            "revocation");
    is_heap(acme_request_contact(""), "{\"contact\":[]}", "no contact any more");
}

int main(void)
{
    test_directory();
    test_limits();
    test_problem();
    test_order();
    test_authorization();
    test_renewal();
    test_times();
    test_requests();
    return done();
}
