/* Judging the answers to probes. */
#include <stdlib.h>

#include "base/conf/conf.h"
#include "healthd/check/http_check.h"
#include "t/unit/tap.h"

static char text[TABLE_REASON];

static bool pasoe(const char *body)
{
    text[0] = '\0';
    return http_check_judge_pasoe(body, strlen(body), text);
}

static void test_retval(void)
{
    static const struct {
        const char *body, *says;
    } bad[] = {
        {"", "the ping response is not JSON"},
        {"<html>", "the ping response is not JSON"},
        {"{\"response\":{\"_retVal\":\"\"}} x", "the ping response is not JSON"},
        {"{\"response\":{\"_retVal\":\"\xff\"}}", "the ping response is not JSON"},
        {"{\"response\":{\"_retVal\":\"a\",\"_retVal\":\"\"}}",
         "the ping response is not JSON"},
        {"{}", "the ping response has no response._retVal"},
        {"[]", "the ping response has no response._retVal"},
        {"{\"response\":\"\"}", "the ping response has no response._retVal"},
        {"{\"response\":{\"_retVal\":0}}", "the ping response has no response._retVal"},
        {"{\"response\":{\"_retVal\":\"no database\"}}", "_retVal says \"no database\""},
        {"{\"response\":{\"_retVal\":\"a\\nb\\u001bc\"}}", "_retVal says \"a b c\""},
    };

    ok(pasoe("{\"response\":{\"_retVal\":\"\"}}"), "an empty _retVal is well");
    ok(pasoe(" {\"response\": {\"x\": 1, \"_retVal\": \"\"}, \"y\": 2}\n"),
       "beside others too");
    ok(pasoe("{\"response\":{\"_retVal\":null}}"), "the unknown value says nothing bad");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(!pasoe(bad[i].body), "not well: %s", bad[i].body);
        is_str(text, bad[i].says, "  %s", bad[i].says);
    }
}

static void test_long_and_deep(void)
{
    static char body[HTTP_CHECK_BODY_MAX + 1];
    size_t n = (size_t)sprintf(body, "{\"response\":{\"_retVal\":\"");

    /* Two-byte characters, so that the cut falls into one with either parity. */
    for (int i = 0; i < 200; i++)
        n += (size_t)sprintf(body + n, "\xc3\xa4");
    sprintf(body + n, "\"}}");
    ok(!pasoe(body), "a long _retVal");
    ok(strlen(text) < TABLE_REASON, "is cut to fit");
    ok(text[strlen(text) - 1] == '"' && (unsigned char)text[strlen(text) - 2] == 0xa4,
       "between two characters");

    memset(body, '[', HTTP_CHECK_BODY_MAX);
    body[HTTP_CHECK_BODY_MAX] = '\0';
    ok(!pasoe(body), "64 Ki of nesting are refused");
    is_str(text, "the ping response is not JSON", "  as no JSON");
}

static bool judge(const struct conf_check *check, long status, const char *body)
{
    return http_check_judge(check, status, body, strlen(body), false, text);
}

static void test_http(void)
{
    static const struct conf_status_range ranges[] = {{200, 399}, {401, 401}};
    struct conf_check check = {
        .type = CONF_CHECK_HTTP, .status = ranges, .n_status = 2, .body = ""};

    ok(judge(&check, 200, ""), "200 is wanted");
    ok(judge(&check, 399, "") && judge(&check, 401, ""), "the ends of the ranges too");
    is_str(text, "HTTP 401", "and told");
    ok(!judge(&check, 400, ""), "400 is not");
    is_str(text, "HTTP 400, want 200-399, 401", "and what is wanted is told");
    ok(!judge(&check, 503, ""), "nor 503");
    check.body = "all well";
    ok(judge(&check, 200, "<p>all well</p>"), "a text of the body");
    ok(!judge(&check, 200, "<p>all wel"), "that is missing");
    is_str(text, "HTTP 200, but \"all well\" is not in its body", "is told");
    ok(http_check_judge(&check, 200, "\0all well", 9, true, text), "NULs do not hide it");
}

static void test_pasoe(void)
{
    struct conf_check check = {.type = CONF_CHECK_PASOE, .body = ""};
    const char *healthy = "{\"response\":{\"_retVal\":\"\"}}";

    ok(judge(&check, 200, healthy), "a ping that is well");
    is_str(text, "HTTP 200", "and what it answered");
    ok(!judge(&check, 500, healthy), "500");
    is_str(text, "HTTP 500 (ABL error), want 200", "is an ABL error");
    ok(!judge(&check, 404, "") && strstr(text, "no ping service"), "404: no such service");
    ok(!judge(&check, 302, ""), "a redirect (a login page) is no ping");
    ok(!http_check_judge(&check, 200, healthy, strlen(healthy), true, text),
       "nor is a huge answer");
}

static uint32_t score(const char *body)
{
    snprintf(text, sizeof text, "HTTP 200");
    return http_check_score(body, strlen(body), text);
}

static void test_score(void)
{
    is_int(score("{\"health\": 0.96, \"more\": []}"), 960, "a score");
    is_str(text, "HTTP 200, health 0.96", "  is told");
    is_int(score("{\"health\": 0}"), 0, "the worst");
    is_int(score("{\"health\": 1}"), 1000, "the best");
    is_int(score("{\"health\": 42}"), 1000, "42 is none");
    is_int(score("{\"health\": \"ok\"}"), 1000, "nor is a word");
    is_int(score("{\"health\": 0.1"), 1000, "nor what is not JSON");
    is_int(score("[0.1]"), 1000, "nor a list");
    is_int(score(""), 1000, "nor nothing");
    is_str(text, "HTTP 200", "  and nothing is told then");
}

int main(void)
{
    test_retval();
    test_long_and_deep();
    test_http();
    test_pasoe();
    test_score();
    return done();
}
