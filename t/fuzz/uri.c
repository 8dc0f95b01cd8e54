/* Paths: a normal form has no dot segment, no double slash, nothing encoded that need not be,
 * and is its own normal form; what a route maps to stays one. */
#include "worker/http/uri.h"
#include "t/fuzz/fuzz.h"
#include "worker/http/h1.h"
#include "worker/http/route.h"

static bool has(struct str s, struct str what)
{
    return memmem(s.p, s.n, what.p, what.n) != NULL;
}

static bool ends_in_dots(struct str s)
{
    return str_ends(s, STR("/.")) || str_ends(s, STR("/.."));
}

/* As a backend sees it that decodes slashes, and merges them: no more climbs then, and what the
 * shield is over stays under it. */
static void check_decoded(struct str path)
{
    char *plain = malloc(path.n), *normal = malloc(path.n);
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++) {
        bool slash = path.n - i >= 3 && memcmp(path.p + i, "%2F", 3) == 0;
        char c = slash ? '/' : path.p[i];
        i += slash ? 2 : 0;
        if (c != '/' || n == 0 || plain[n - 1] != '/')
            plain[n++] = c;
    }
    ssize_t rc = uri_normalise(normal, n, str_make(plain, n), 0);
    HOLDS(rc == (ssize_t)n || rc == -URI_E_PARAM);
    if (rc > 0) {
        struct str decoded = str_make(normal, (size_t)rc);
        HOLDS(memcmp(normal, plain, n) == 0);
        HOLDS(route_is_admin(decoded) == route_is_admin(path));
        HOLDS(route_class_of(decoded) == route_class_of(path));
    }
    free(plain);
    free(normal);
}

static void check_route(const struct route_table *routes, struct str path)
{
    struct route_match match;
    char *mapped = malloc(path.n + 16);

    HOLDS(route_lookup(routes, STR("a.test"), path, &match));
    ssize_t n = route_map_path(&match, path, mapped, path.n + 16);
    HOLDS(n > 0 && mapped[0] == '/');
    struct str to = str_make(mapped, (size_t)n);
    HOLDS(!has(to, STR("//")) && !has(to, STR("/../")) && !ends_in_dots(to));
    HOLDS(match.shielded == route_is_admin(to) && match.class == route_class_of(to));
    HOLDS(route_map_path(&match, path, mapped, (size_t)n - 1) == -1);
    free(mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct route_rule rules[] = {
        {.path = STR_INIT("/")},
        {.path = STR_INIT("/pas/"), .upstream_path = STR_INIT("/web")},
        {.path = STR_INIT("/root"), .upstream_path = STR_INIT("/")}};
    static struct route_table *routes;

    if (!routes)
        routes = route_table_new(rules, 3);
    if (size < 1)
        return 0;
    unsigned flags =
        (data[0] & 1 ? URI_ALLOW_ENCODED_SLASH : 0) | (data[0] & 2 ? URI_ENCODE_RAW : 0);
    size_t n = size - 1;
    size_t cap = flags & URI_ENCODE_RAW ? 3 * n : n;
    char *in = fuzz_copy(data + 1, n), *out = malloc(cap + 1), *twice = malloc(cap + 1);
    ssize_t rc = uri_normalise(out, cap, str_make(in, n), flags);

    HOLDS(rc != -URI_E_LONG || n == 0);
    if (rc > 0) {
        struct str path = str_make(out, (size_t)rc);
        HOLDS((size_t)rc <= cap && path.p[0] == '/');
        HOLDS(uri_encoded_size(path) == path.n); /* nothing raw is left */
        HOLDS(!has(path, STR("//")) && !has(path, STR("/./")) && !has(path, STR("/../")));
        HOLDS(!has(path, STR("/..;")) && !has(path, STR("/;")) && !ends_in_dots(path));
        HOLDS(!has(path, STR("%00")) && !has(path, STR("%0A")) && !has(path, STR("%5C")));
        HOLDS(flags & URI_ALLOW_ENCODED_SLASH || !has(path, STR("%2F")));
        HOLDS(uri_has_encoded_slash(path) == has(path, STR("%2F")));
        check_decoded(path);
        HOLDS(uri_normalise(twice, (size_t)rc, path, flags) == rc &&
              !memcmp(twice, out, (size_t)rc));
        check_route(routes, path);
    }
    free(in);
    free(out);
    free(twice);
    return 0;
}
