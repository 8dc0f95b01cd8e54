/* Affinity's pure part: tags that only we can make, and where session values stand. */
#include "worker/http/affinity.h"

#include "t/unit/tap.h"

static struct affinity_key key, other;

static void make_keys(void)
{
    uint8_t bytes[AFFINITY_KEY];

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    key = affinity_key(bytes);
    bytes[3] ^= 1;
    other = affinity_key(bytes);
}

/* value + tag in a static buffer. */
static struct str tagged(const struct affinity_key *k, uint32_t id, const char *value)
{
    static char buf[256];
    size_t n = strlen(value);

    memcpy(buf, value, n);
    affinity_tag(buf + n, k, id, str_make(value, n));
    return str_make(buf, n + AFFINITY_TAG);
}

static void test_tags(void)
{
    static const char *values[] = {"8B144E07FD8.as-pas", "", "~", "a~b~c", "x.y.z", "AAAA~"};
    uint32_t id = affinity_id(&key, STR("pas1")), found = 0;
    struct str bare, t;
    bool all = true, forged = false;

    ok(id != affinity_id(&key, STR("pas2")), "instances have numbers of their own");
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        t = tagged(&key, id, values[i]);
        ok(affinity_untag(&key, t, &bare, &found) && found == id &&
               str_eq(bare, str_from(values[i])),
           "\"%s\" comes back", values[i]);
        ok(!affinity_untag(&other, t, &bare, &found), "not under another key");
        for (size_t k = 0; k < t.n; k++) {
            char *p = (char *)(uintptr_t)t.p + k, was = *p;

            for (int c = 0; c < 256; c++) {
                *p = (char)c;
                if (*p != was)
                    forged |= affinity_untag(&key, t, &bare, &found);
            }
            *p = was;
            all &= !affinity_untag(&key, str_head(t, k), &bare, &found);
        }
    }
    ok(!forged, "no changed byte, of value or tag, is taken");
    ok(all, "nor a shortened one");
    t = tagged(&key, id, "one");
    char swapped[64] = "two";
    memcpy(swapped + 3, t.p + 3, AFFINITY_TAG);
    ok(!affinity_untag(&key, str_make(swapped, t.n), &bare, &found),
       "a tag holds for its session only");
    ok(!affinity_untag(&key, STR("8B144E07FD8.as-pas"), &bare, &found),
       "a bare value has none");
    for (size_t i = 0; i < t.n; i++)
        all &= memchr("~-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
                      t.p[i], 65) != NULL;
    ok(all, "of bytes that cookies and paths may have");
}

static void test_tokens(void)
{
    char token[AFFINITY_TOKEN];
    uint32_t id = 0;

    affinity_token(token, &key, 77, STR("PASGATE_pas"));
    ok(affinity_token_check(&key, str_make(token, sizeof token), STR("PASGATE_pas"), &id) &&
           id == 77,
       "a token says its instance");
    ok(!affinity_token_check(&key, str_make(token, sizeof token), STR("PASGATE_b"), &id),
       "but not in another pool's cookie");
    ok(!affinity_token_check(&key, STR(""), STR("PASGATE_pas"), &id), "nothing is no token");
}

/* The values of all cookies of that name, each followed by "|". */
static const char *values_of(const char *field, const char *name)
{
    static char out[256];
    struct str rest = str_from(field);
    struct affinity_cookie c;
    size_t n = 0;

    while (affinity_next_cookie(&rest, str_from(name), &c)) {
        memcpy(out + n, c.value.p, c.value.n);
        n += c.value.n;
        out[n++] = '|';
    }
    out[n] = '\0';
    return out;
}

static const char *whole_of(const char *field)
{
    static char out[256];
    struct str rest = str_from(field);
    struct affinity_cookie c = {0};

    affinity_next_cookie(&rest, STR("P"), &c);
    return str_copy(out, sizeof out, c.whole);
}

static void test_cookies(void)
{
    static const struct {
        const char *field, *want;
    } t[] = {
        {"JSESSIONID=a", "a|"},
        {"JSESSIONID=a; x=1", "a|"},
        {"x=1; JSESSIONID=a.b.c", "a.b.c|"},
        {"x=JSESSIONID=a", ""},
        {"JSESSIONIDSSO=a; XJSESSIONID=b; jsessionid=c", ""},
        {"JSESSIONID=a;JSESSIONID=b ;\tJSESSIONID = \"c\" ", "a|b|c|"},
        {"JSESSIONID=\"", "\"|"},
        {"JSESSIONID=\"\"", "|"},
        {"JSESSIONID=", "|"},
        {"JSESSIONID", ""},
        {";;; ;JSESSIONID=a;;", "a|"},
        {"JSESSIONID=a=b==", "a=b==|"},
        {"", ""},
    };

    for (unsigned i = 0; i < sizeof t / sizeof *t; i++)
        is_str(values_of(t[i].field, "JSESSIONID"), t[i].want, "Cookie: %s", t[i].field);
    is_str(whole_of("a=1;  P=2;  b=3"), "P=2;  ", "a whole cookie goes up to the next");
    is_str(whole_of("a=1; P=\"2\" "), "P=\"2\" ", "or to the end");
}

static const char *set_cookie(const char *field)
{
    static char out[256];
    struct str value;

    if (!affinity_set_cookie(str_from(field), STR("JSESSIONID"), &value))
        return "none";
    return str_copy(out, sizeof out, value);
}

static const char *params_of(const char *path)
{
    static char out[256];
    struct str rest = str_from(path), value;
    size_t n = 0;

    while (affinity_next_param(&rest, &value)) {
        memcpy(out + n, value.p, value.n);
        n += value.n;
        out[n++] = '|';
    }
    out[n] = '\0';
    return out;
}

static const char *argument(const char *query)
{
    static char out[256];

    return str_copy(out, sizeof out, affinity_argument(str_from(query), STR("CONNHDL")));
}

static const char *route(const char *value, bool last)
{
    static char out[256];

    return str_copy(out, sizeof out, affinity_route(str_from(value), last));
}

static void test_places(void)
{
    is_str(set_cookie("JSESSIONID=a.b; Path=/; HttpOnly"), "a.b", "Set-Cookie");
    is_str(set_cookie("JSESSIONID=\"a\";Path=/"), "a", "quoted");
    is_str(set_cookie("x=1; JSESSIONID=a"), "none", "an attribute is no cookie");
    is_str(set_cookie("JSESSIONID=; Max-Age=0"), "", "a cookie that is taken back");

    is_str(params_of("/web/x;jsessionid=a.b"), "a.b|", "a path's end");
    is_str(params_of("/web;a=1;jsessionid=x;b=2/y"), "x|", "a segment in the middle");
    is_str(params_of("/a;jsessionid=x/b;jsessionid=y?;jsessionid=z"), "x|y|", "not a query");
    is_str(params_of("/a#;jsessionid=z"), "", "nor a fragment");
    is_str(params_of("/a;jsessionidx=1;Jsessionid=2;jsessionid"), "", "exactly that name");
    is_str(params_of("/a;jsessionid="), "|", "an empty one");

    is_str(argument("?CONNHDL=1f"), "1f", "an argument");
    is_str(argument("?a=1&CONNHDL=2&CONNHDL=3"), "2", "the first");
    is_str(argument("?XCONNHDL=1&CONNHDLX=2&CONNHDL"), "", "of that name");
    is_str(argument("?"), "", "none");
    is_str(argument(""), "", "no query");

    is_str(route("ABC.as-pas", false), "as-pas", "a route");
    is_str(route("ABC.pas.1", false), "pas.1", "with a dot in it");
    is_str(route("A.B.pas1", true), "pas1", "or after the last dot");
    is_str(route("ABC", false), "", "no route");
    is_str(route("ABC.", true), "", "an empty one");
}

int main(void)
{
    make_keys();
    test_tags();
    test_tokens();
    test_cookies();
    test_places();
    return done();
}
