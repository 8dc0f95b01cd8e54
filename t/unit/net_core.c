/* acmed/net/net_core.h: why a conversation fails, from what the CA responded. */
#include "acmed/net/net_core.h"
#include "acmed/order/fallback.h"
#include "t/unit/tap.h"

static struct net net;

/* The last response; body: NULL, none. */
static void response(uint32_t status, const char *body)
{
    net = (struct net){.reply = {.status = status, .body = str_from(body)}};
    acme_json_problem(net.reply.body, &net.problem);
}

static void test_no_problem(void)
{
    char big[4096];

    response(403, "Your IP is blocked by the firewall, ticket 12345\n");
    net_fail_by_ca(&net);
    is_str(net.failed.type, "net.response", "a text that is no problem");
    is_str(net.failed.detail,
           "the CA, or something in front of it, responded with status 403 and this text: Your "
           "IP is blocked by the firewall, ticket 12345",
           "  is shown");
    response(502,
             "<html>\n<title>502</title><body><h1>Bad\n\x1b[1m gateway</h1> \n\x80 </html>");
    net_fail_by_ca(&net);
    is_str(strstr(net.failed.detail, "text: "), "text: 502 Bad [1m gateway",
           "of a page the text");
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    response(502, big);
    net_fail_by_ca(&net);
    ok(strlen(strstr(net.failed.detail, "text: ")) == 6 + 200 &&
           strstr(net.failed.detail, "x ..."),
       "the beginning of a long one, marked");
    response(503, "<html></html>\n");
    net_fail_by_ca(&net);
    is_str(net.failed.detail, "the CA responded with status 503 and no reason", "no text");
}

static void test_user_action(void)
{
    static const char bare[] = "{\"type\":\"urn:ietf:params:acme:error:userActionRequired\","
                               "\"detail\":\"new terms\"}";
    static const char page[] = "{\"type\":\"urn:ietf:params:acme:error:userActionRequired\","
                               "\"detail\":\"new terms\",\"instance\":\"https://ca.test/a\"}";

    response(403, page);
    str_copy(net.reply.terms, sizeof net.reply.terms, STR("https://ca.test/tos/9"));
    net_fail_by_ca(&net);
    is_str(net.failed.detail, "new terms; see https://ca.test/a", "the page to open");
    response(403, bare);
    str_copy(net.reply.terms, sizeof net.reply.terms, STR("https://ca.test/tos/9"));
    str_copy(net.directory.terms, sizeof net.directory.terms, STR("https://ca.test/tos/8"));
    net_fail_by_ca(&net);
    is_str(net.failed.detail, "new terms; see https://ca.test/tos/9",
           "without one, the terms that the response names");
    response(403, bare);
    str_copy(net.directory.terms, sizeof net.directory.terms, STR("data:text/plain,x"));
    net_fail_by_ca(&net);
    is_str(net.failed.detail,
           "new terms; no page is named; the CA's terms of service were at data:text/plain,x",
           "those of the directory are not said to be named");
    response(403, bare);
    net_fail_by_ca(&net);
    is_str(net.failed.detail, "new terms; no page is named", "nothing at all");
}

static void test_ended(void)
{
    static const enum acme_status ended[] = {ACME_DEACTIVATED, ACME_EXPIRED, ACME_REVOKED};

    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++) {
        response(200, "{}");
        net_fail_by_ended(&net, ended[i], "a.test");
        is_str(net.failed.type, "net.authorization", "an authorization that the CA ended");
        ok(strstr(net.failed.detail, "of a.test before it was validated; no validation failed"),
           "  %s", net.failed.detail);
        is_int(fallback_fault(&net.failed), FALLBACK_FAULT_CA, "  is not about the name");
    }
    response(200, "{}");
    net_fail_by_ended(&net, ACME_INVALID, "a.test");
    is_str(net.failed.type, "unauthorized", "one that is invalid is");
}

int main(void)
{
    test_no_problem();
    test_user_action();
    test_ended();
    return done();
}
