#include "worker/rewrite_build.h"

/* Where a path ends in a Location, and where a prefix of it may end. */
static bool is_path_end(char c)
{
    return c == '?' || c == '#';
}

static bool is_border(char c)
{
    return c == '/' || c == ';' || is_path_end(c);
}

/* True when the path is the prefix or goes on below it on a segment border. */
static bool is_under(struct str path, struct str prefix)
{
    return path.n && path.p[0] == '/' && str_starts(path, prefix) &&
           (path.n == prefix.n || is_border(path.p[prefix.n]));
}

/* A path of the backend's, with query and fragment, as the public one; others stay. */
static void put_mapped(struct rewrite_out *out, struct str path, const struct rewrite_map *map)
{
    if (!is_under(path, map->upstream_path)) {
        put(out, path);
        return;
    }
    struct str rest = str_skip(path, map->upstream_path.n);
    put(out, map->prefix);
    if (map->prefix.n == 0 && (rest.n == 0 || rest.p[0] != '/'))
        PUT(out, "/");
    put(out, rest);
}

static unsigned default_port(struct str scheme)
{
    return str_eq_case(scheme, STR("https")) ? 443 : 80;
}

/*
 * Whether host[:port] in a URL with that scheme is the given authority. The backend knows
 * neither our scheme nor always our port, so: the same host, with the authority's port or the
 * default of either scheme.
 */
static bool is_same_place(struct str authority, struct str scheme, struct str place)
{
    struct str host, place_host;
    uint16_t port, place_port;

    if (!http_authority_parse(authority, &host, &port) ||
        !http_authority_parse(place, &place_host, &place_port))
        return false;
    if (!str_eq_case(host, place_host))
        return false;
    return port == 0 || port == place_port || port == default_port(scheme);
}

/* "scheme://authority/path" or "//authority/path": false when it is neither, or somewhere else.
 */
static bool put_absolute(struct rewrite_out *out, struct str value,
                         const struct rewrite_map *map)
{
    struct str scheme = STR_EMPTY, rest = value;

    if (str_starts_case(value, STR("http://")) || str_starts_case(value, STR("https://"))) {
        scheme = str_head(value, str_index(value, ':'));
        rest = str_skip(value, scheme.n + 1);
    }
    if (!str_starts(rest, STR("//")))
        return false;
    rest = str_skip(rest, 2);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && !is_path_end(rest.p[n]))
        n++;
    struct str authority = str_head(rest, n);
    if (!is_same_place(authority, scheme, map->public_authority) &&
        !is_same_place(authority, scheme, map->backend_authority))
        return false;
    if (scheme.n)
        put(out, map->tls ? STR("https:") : STR("http:"));
    PUT(out, "//");
    put(out, map->public_authority);
    rest = str_skip(rest, n);
    if (rest.n == 0 || rest.p[0] != '/')
        put(out, rest);
    else
        put_mapped(out, rest, map);
    return true;
}

void put_location(struct rewrite_out *out, struct str value, const struct rewrite_map *map)
{
    if (str_starts(value, STR("/")) && !str_starts(value, STR("//")))
        put_mapped(out, value, map);
    else if (!map->public_authority.n || !put_absolute(out, value, map))
        put(out, value);
}

static struct str unquoted(struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return str_make(s.p + 1, s.n - 2);
    return s;
}

/* localhost, or the backend under its own name: nothing that a browser could match (PAS.md 5).
 */
static bool is_backend_domain(struct str domain, const struct rewrite_map *map)
{
    struct str host;
    uint16_t port;

    if (str_starts(domain, STR(".")))
        domain = str_skip(domain, 1);
    if (str_eq_case(domain, STR("localhost")))
        return true;
    return http_authority_parse(map->backend_authority, &host, &port) &&
           str_eq_case(domain, host);
}

static void put_cookie_path(struct rewrite_out *out, struct str path,
                            const struct rewrite_map *map)
{
    if (map->upstream_path.n == 0 && str_eq(path, STR("/")) && map->prefix.n) {
        put(out, map->prefix); /* "/pas/" would not be sent to "/pas" */
        return;
    }
    put_mapped(out, path, map);
}

void put_set_cookie(struct rewrite_out *out, struct str value, const struct rewrite_map *map)
{
    size_t at = str_index(value, ';');

    put(out, str_head(value, at)); /* name=value, untouched */
    for (value = str_skip(value, at); value.n; value = str_skip(value, at)) {
        /* value starts at a semicolon; the attribute goes up to the next one */
        at = 1 + str_index(str_skip(value, 1), ';');
        struct str whole = str_head(value, at), attribute = str_skip(whole, 1);
        size_t equals = str_index(attribute, '=');
        struct str name = str_trim(str_head(attribute, equals));
        struct str arg = STR_EMPTY;
        if (equals < attribute.n)
            arg = unquoted(str_trim(str_skip(attribute, equals + 1)));

        if (str_eq_case(name, STR("path")) && is_under(arg, map->upstream_path)) {
            PUT(out, "; Path=");
            put_cookie_path(out, arg, map);
        } else if (!str_eq_case(name, STR("domain")) || !is_backend_domain(arg, map)) {
            put(out, whole);
        }
    }
}
