/* worker/http/http.h: methods, status texts, Max-Forwards. Authorities: hostile.c. */
#include "worker/http/http.h"
#include "t/unit/tap.h"

static void test_methods(void)
{
    static const struct {
        const char *name;
        enum http_method method;
        bool safe, idempotent;
    } methods[] = {
        {"GET", HTTP_GET, true, true},          {"HEAD", HTTP_HEAD, true, true},
        {"OPTIONS", HTTP_OPTIONS, true, true},  {"PUT", HTTP_PUT, false, true},
        {"DELETE", HTTP_DELETE, false, true},   {"POST", HTTP_POST, false, false},
        {"PATCH", HTTP_PATCH, false, false},    {"CONNECT", HTTP_CONNECT, false, false},
        {"TRACE", HTTP_TRACE, false, false},    {"get", HTTP_OTHER, false, false},
        {"PROPFIND", HTTP_OTHER, false, false}, {"", HTTP_OTHER, false, false},
    };

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        enum http_method m = http_method_lookup(str_from(methods[i].name));

        ok(m == methods[i].method && http_method_is_safe(m) == methods[i].safe &&
               http_method_is_idempotent(m) == methods[i].idempotent,
           "method \"%s\"", methods[i].name);
    }
}

/* A reason that an operator or a client reads, for each status that pasgate may send. */
static void test_status(void)
{
    static const unsigned statuses[] = {100, 101, 103, 200, 201, 202, 204, 206, 301,
                                        302, 303, 304, 307, 308, 400, 401, 403, 404,
                                        405, 408, 409, 411, 413, 414, 415, 417, 421,
                                        425, 429, 431, 500, 501, 502, 503, 504, 505};
    unsigned same = 0;

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        const char *text = http_status_text(statuses[i]);

        ok(*text && strcmp(text, "Unknown") != 0, "%u %s", statuses[i], text);
        for (size_t j = 0; j < i; j++)
            same += strcmp(text, http_status_text(statuses[j])) == 0;
    }
    is_int(same, 0, "no two have the same text");
    is_str(http_status_text(599), "Unknown", "another one");
}

static void test_max_forwards(void)
{
    static const struct {
        const char *name, *value;
        bool good;
        uint32_t hops;
    } cases[] = {
        {"Max-Forwards", "0", true, 0},
        {"max-forwards", "12", true, 12},
        {"Max-Forwards", "99999999999999999999", true, HTTP_HOPS_MOST},
        {"Max-Forwards", "", false, 0},
        {"Max-Forwards", "1x", false, 0},
        {"Max-Forwards", "-1", false, 0},
        {"Max-Forward", "1", false, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct http_field field = {.name = str_from(cases[i].name),
                                         .value = str_from(cases[i].value)};
        uint32_t hops = 0;
        bool good = http_max_forwards(&field, &hops);

        ok(good == cases[i].good && (!good || hops == cases[i].hops), "%s: %s", cases[i].name,
           cases[i].value);
    }
}

int main(void)
{
    test_methods();
    test_status();
    test_max_forwards();
    return done();
}
