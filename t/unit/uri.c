/* Paths in their normal form, and with their parameters taken off. */
#include "worker/http/uri.h"
#include "t/unit/tap.h"

static void normal(const char *path, const char *want)
{
    char out[256], again[256];
    ssize_t n = uri_normalise(out, sizeof(out) - 1, str_from(path), 0);

    if (n < 0) {
        fail("%s: %s", path, uri_error_text((int)n));
        return;
    }
    out[n] = '\0';
    is_str(out, want, "%s", path);
    ssize_t m = uri_normalise(again, sizeof(again), str_make(out, (size_t)n), 0);
    is_mem(again, m < 0 ? 0 : (size_t)m, out, (size_t)n, "and again");
}

static void refused(const char *path, enum uri_error want)
{
    char out[256];
    is_int(uri_normalise(out, sizeof(out), str_from(path), 0), -(ssize_t)want, "%s: %s", path,
           uri_error_text(want));
}

static void test_flags_and_bounds(void)
{
    char out[16];

    is_int(uri_normalise(out, sizeof(out), STR("/a%2fb"), URI_ALLOW_ENCODED_SLASH), 6,
           "%%2f passes when allowed");
    is_mem(out, 6, "/a%2Fb", 6, "and stays encoded");
    is_int(uri_normalise(out, sizeof(out), STR("/a%5cb"), URI_ALLOW_ENCODED_SLASH),
           -URI_E_SEPARATOR, "%%5c never does");
    is_int(uri_normalise(out, 4, STR("/abcd"), 0), -URI_E_LONG,
           "a plain path that does not fit");
    is_int(uri_normalise(out, 4, STR("/%61bcd"), 0), -URI_E_LONG, "another that does not fit");
    is_int(uri_normalise(out, 4, STR("/abc"), 0), 4, "one that does");
    is_int(uri_normalise(out, 4, STR("/./%61bc"), 0), 4, "one that does once it is normal");
}

/* With both flags: the result, or "-" and what is wrong. */
static void lenient(const char *path, const char *want)
{
    unsigned flags = URI_ALLOW_ENCODED_SLASH | URI_ENCODE_RAW;
    char out[256], again[256];
    ssize_t n = uri_normalise(out, sizeof(out) - 1, str_from(path), flags);

    if (n < 0) {
        snprintf(again, sizeof(again), "-%s", uri_error_text((int)n));
        is_str(again, want, "%s is refused", path);
        return;
    }
    out[n] = '\0';
    is_str(out, want, "%s", path);
    ssize_t m =
        uri_normalise(again, sizeof(again), str_make(out, (size_t)n), URI_ALLOW_ENCODED_SLASH);
    is_mem(again, m < 0 ? 0 : (size_t)m, out, (size_t)n, "and strictly the same again");
}

static void test_lenient(void)
{
    char out[16];

    lenient("/{a|b}^`\"", "/%7Ba%7Cb%7D%5E%60%22");
    lenient("/a[1]", "/a%5B1%5D");
    lenient("/caf\xc3\xa9", "/caf%C3%A9");
    lenient("/a{/../b", "/b");
    lenient("/{/./}", "/%7B/%7D");
    lenient("/a\\b", "-bad byte in path");
    lenient("/\xc0\xaf", "-overlong UTF-8 in path");
    lenient("/%c0\xaf", "-overlong UTF-8 in path");
    lenient("/\xc0%af", "-overlong UTF-8 in path");
    lenient("/a<b", "-bad byte in path");
    lenient("/a b", "-bad byte in path");
    lenient("/a%2fb", "/a%2Fb");
    lenient("/a%2f%2Fb%2f", "/a%2F%2Fb%2F");
    lenient("/a%2f...", "/a%2F...");
    lenient("/a..%2f..b", "/a..%2F..b");
    lenient("/a%2f..", "-encoded separator in path");
    lenient("/..%2fa", "-encoded separator in path");
    lenient("/a%2f.%2fb/c", "-encoded separator in path");
    lenient("/a%2f%2e%2e/c", "-encoded separator in path");
    lenient("/a%2f..;b/c", "-encoded separator in path");
    lenient("/a%2f.%3bb/c", "-encoded separator in path");
    lenient("/a%2f../..", "-encoded separator in path");
    is_int(uri_normalise(out, 5, STR("/a{b"), URI_ENCODE_RAW), -URI_E_LONG,
           "an encoding that does not fit");
    is_int(uri_normalise(out, 6, STR("/a{b"), URI_ENCODE_RAW), 6, "one that does");

    is_int((intmax_t)uri_encoded_size(STR("?a={b|c}")), 14, "the size of a query encoded");
    is_int(uri_encode(out, 13, STR("?a={b|c}")), -1, "which does not fit");
    is_int(uri_encode(out, sizeof(out), STR("?a={b|c}")), 14, "or does");
    is_mem(out, 14, "?a=%7Bb%7Cc%7D", 14, "encoded");
    is_int(uri_encode(out, 0, STR_EMPTY), 0, "nothing is nothing");
    ok(uri_has_encoded_slash(STR("/a%2F")) && !uri_has_encoded_slash(STR("/a%252F")) &&
           !uri_has_encoded_slash(STR_EMPTY),
       "an encoded slash");
}

int main(void)
{
    normal("/", "/");
    normal("/a/b/c", "/a/b/c");
    normal("/a/./b", "/a/b");
    normal("/a/../b", "/b");
    normal("/a/b/../../c/", "/c/");
    normal("/a/..", "/");
    normal("/a//b///c", "/a/b/c");
    normal("//", "/");
    normal("/a/%2E%2e/b", "/b");
    normal("/%61%2d%5f%7e%2E", "/a-_~.");
    normal("/%c3%a4", "/%C3%A4");
    normal("/%E4", "/%E4");
    normal("/%C0x", "/%C0x");
    normal("/%2541", "/%2541");
    normal("/%252e%252e", "/%252e%252e");
    normal("/a;b=c/d;e", "/a;b=c/d;e");
    normal("/...", "/...");
    normal("/.hidden", "/.hidden");
    normal("/a..b/..c/d..", "/a..b/..c/d..");
    normal("/a%20b!$&'()*+,=:@", "/a%20b!$&'()*+,=:@");

    refused("", URI_E_START);
    refused("a", URI_E_START);
    refused("/..", URI_E_ABOVE);
    refused("/a/../..", URI_E_ABOVE);
    refused("/%2e%2e/", URI_E_ABOVE);
    refused("/a\\b", URI_E_CHAR);
    refused("/a b", URI_E_CHAR);
    refused("/a?b", URI_E_CHAR);
    refused("/[a]", URI_E_CHAR);
    refused("/\xc3\xa4", URI_E_CHAR);
    refused("/%", URI_E_PERCENT);
    refused("/%4", URI_E_PERCENT);
    refused("/%4x", URI_E_PERCENT);
    refused("/%00", URI_E_CONTROL);
    refused("/%0D", URI_E_CONTROL);
    refused("/%7F", URI_E_CONTROL);
    refused("/%2f", URI_E_SEPARATOR);
    refused("/%5C", URI_E_SEPARATOR);
    refused("/%c0%af", URI_E_OVERLONG);
    refused("/%e0%9f%bf", URI_E_OVERLONG);
    refused("/%f0%8f%bf%bf", URI_E_OVERLONG);
    refused("/..;/a", URI_E_PARAM);
    refused("/a/.;x", URI_E_PARAM);
    refused("/;x/a", URI_E_PARAM);
    refused("/..%3b/", URI_E_PARAM);

    test_flags_and_bounds();
    test_lenient();
    return done();
}
