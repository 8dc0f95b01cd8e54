/* Host and path to route, the path map, classes, the shield over management paths. */
#include "worker/http/route.h"
#include "t/unit/tap.h"

static const struct route_rule rules[] = {
    {.path = STR_INIT("/"), .target = 0},
    {.path = STR_INIT("/pas"), .upstream_path = STR_INIT("/web"), .target = 1},
    {.path = STR_INIT("/pas/deep/"), .upstream_path = STR_INIT("/"), .target = 2},
    {.host = STR_INIT("Shop.test"), .path = STR_INIT("/a"), .target = 3},
    {.host = STR_INIT("*.test"), .path = STR_INIT("/"), .target = 4},
    {.host = STR_INIT("*.eu.test"), .path = STR_INIT("/"), .target = 5},
    {.path = STR_INIT("/ops"), .upstream_path = STR_INIT("/oemanager"), .target = 6},
    {.path = STR_INIT("/pas"), .target = 7},
    {.path = STR_INIT("/all"), .upstream_path = STR_INIT("/"), .target = 8},
    {.path = STR_INIT("/rest/_oepingService/_oeping"), .target = 9},
};

static struct route_table *table;

/* "TARGET MAPPED", or "none". */
static void routed(const char *host, const char *path, const char *want)
{
    struct route_match match;
    char got[256] = "none", mapped[200];

    if (route_lookup(table, str_from(host), str_from(path), &match)) {
        ssize_t n = route_map_path(&match, str_from(path), mapped, sizeof(mapped));
        snprintf(got, sizeof(got), "%u %.*s%s", match.target, (int)n, mapped,
                 match.shielded ? " shielded" : "");
    }
    is_str(got, want, "%s%s", host, path);
}

static void test_lookup(void)
{
    routed("x", "/", "0 /");
    routed("x", "/pas", "1 /web");
    routed("x", "/pas/", "1 /web/");
    routed("x", "/pas/a/b", "1 /web/a/b");
    routed("x", "/pasx", "0 /pasx");
    routed("x", "/Pas", "0 /Pas");
    routed("x", "/pas/deep", "2 /");
    routed("x", "/pas/deep/x", "2 /x");
    routed("x", "/pas/deeper", "1 /web/deeper");
    routed("x", "/pas;a=b/c", "1 /web;a=b/c");
    routed("x", "/pas/deep;j=1/c;k", "2 /;j=1/c;k");
    routed("x", "/pas;j=1/deep/c", "2 /c");
    routed("shop.TEST", "/a/x", "3 /a/x");
    routed("shop.test.", "/a", "3 /a");
    routed("shop.test", "/b", "4 /b");
    routed("b.test", "/pas", "4 /pas");
    routed("x.eu.test", "/", "5 /");
    routed("test", "/", "0 /");
    routed("", "/pas", "1 /web");

    struct route_table *few = route_table_new(&rules[1], 1);
    struct route_match match;
    ok(!route_lookup(few, STR("x"), STR("/other"), &match), "no route");
    route_table_free(few);
    few = route_table_new(NULL, 0);
    ok(!route_lookup(few, STR("x"), STR("/"), &match), "no routes at all");
    route_table_free(few);
    route_table_free(NULL);
}

static void test_shield(void)
{
    routed("x", "/oemanager", "0 /oemanager shielded");
    routed("x", "/oemanager/applications", "0 /oemanager/applications shielded");
    routed("x", "/OEManager;x/a", "0 /OEManager;x/a shielded");
    routed("x", "/manager/html", "0 /manager/html shielded");
    routed("x", "/host-manager", "0 /host-manager shielded");
    routed("x", "/health", "0 /health shielded");
    routed("x", "/healthy", "0 /healthy");
    routed("x", "/web/health", "0 /web/health");
    routed("x", "/pas/oemanager", "1 /web/oemanager");
    routed("x", "/pas/_oepingService/_oeping", "1 /web/_oepingService/_oeping shielded");
    routed("x", "/pas/deep/oemanager", "2 /oemanager shielded");
    routed("x", "/pas/deep;a/oemanager", "2 /;a/oemanager shielded");
    routed("x", "/ops/applications", "6 /oemanager/applications");
    routed("x", "/all/manager", "8 /manager shielded");
    routed("x", "/rest/_oepingService/_oeping", "9 /rest/_oepingService/_oeping");
    routed("x", "/rest/_oepingService/other", "0 /rest/_oepingService/other shielded");
}

/* A backend may decode an encoded slash. */
static void test_shield_encoded(void)
{
    routed("x", "/oemanager%2Fx", "0 /oemanager%2Fx shielded");
    routed("x", "/%2Foemanager", "0 /%2Foemanager shielded");
    routed("x", "/%2F%2FOEmanager/x", "0 /%2F%2FOEmanager/x shielded");
    routed("x", "/a%2F_oeping", "0 /a%2F_oeping shielded");
    routed("x", "/_oeping%2Fa", "0 /_oeping%2Fa shielded");
    routed("x", "/oemanager;a%2Fb", "0 /oemanager;a%2Fb shielded");
    routed("x", "/pas/deep;%2Foemanager", "2 /;%2Foemanager shielded");
    routed("x", "/pas/deep;a%2Foemanager/x", "2 /;a%2Foemanager/x shielded");
    routed("x", "/pas;%2F_oeping", "1 /web;%2F_oeping shielded");
    routed("x", "/pas/deep/%2Foemanager", "2 /%2Foemanager shielded");
    routed("x", "/a%2Foemanager", "0 /a%2Foemanager");
    routed("x", "/oemanager%252F", "0 /oemanager%252F");
    routed("x", "/pas%2Fdeep", "0 /pas%2Fdeep");
    routed("x", "/oemanager%7B", "0 /oemanager%7B");
    is_int(route_class_of(STR("/app%2Fapsv/x")), ROUTE_CLASS_APSV, "/app%%2Fapsv");
    is_int(route_class_of(STR("/%2Fa%2Fsoap")), ROUTE_CLASS_SOAP, "/%%2Fa%%2Fsoap");
}

static void test_class(void)
{
    struct route_match match;

    is_int(route_class_of(STR("/apsv")), ROUTE_CLASS_APSV, "/apsv");
    is_int(route_class_of(STR("/app/apsv")), ROUTE_CLASS_APSV, "/app/apsv");
    is_int(route_class_of(STR("/app;a/apsv;b/x")), ROUTE_CLASS_APSV, "with parameters");
    is_int(route_class_of(STR("/a/b/apsv")), ROUTE_CLASS_PLAIN,
           "deeper is an application's own");
    is_int(route_class_of(STR("/apsvx")), ROUTE_CLASS_PLAIN, "/apsvx");
    is_int(route_class_of(STR("/soap/wsdl")), ROUTE_CLASS_SOAP, "/soap/wsdl");
    is_int(route_class_of(STR("/app/soap")), ROUTE_CLASS_SOAP, "/app/soap");
    is_int(route_class_of(STR("/web/soapy")), ROUTE_CLASS_PLAIN, "/web/soapy");
    is_int(route_class_of(STR("/")), ROUTE_CLASS_PLAIN, "/");
    ok(route_lookup(table, STR("x"), STR("/pas/deep;j/apsv"), &match) &&
           match.class == ROUTE_CLASS_APSV,
       "the class is the mapped path's");
}

static void test_acme(void)
{
    struct str token;

    ok(route_acme_token(STR("/.well-known/acme-challenge/aZ-_09"), &token) &&
           str_eq(token, STR("aZ-_09")),
       "a challenge and its token");
    ok(route_acme_token(STR("/.well-known/acme-challenge/"), &token) && token.n == 0,
       "no token");
    ok(route_acme_token(STR("/.well-known/acme-challenge/a/b"), &token) && token.n == 0,
       "a token with a slash is none");
    ok(route_acme_token(STR("/.well-known/acme-challenge/a.b"), &token) && token.n == 0,
       "nor is one with a dot");
    ok(!route_acme_token(STR("/.well-known/other"), &token), "no challenge");
}

int main(void)
{
    struct route_match match;
    char small[5];

    table = route_table_new(rules, sizeof(rules) / sizeof(rules[0]));
    test_lookup();
    test_shield();
    test_shield_encoded();
    test_class();
    test_acme();
    route_lookup(table, STR("x"), STR("/pas/a"), &match);
    is_int(route_map_path(&match, STR("/pas/a"), small, sizeof(small)), -1, "no room to map");
    route_table_free(table);
    return done();
}
