#include "worker/http/public_names.h"

#include "worker/http/affinity.h"
#include "worker/http/headers.h"

/* Bytes at which a path in a Location ends, and at which a prefix of it may end. */
static bool is_path_end(char c)
{
    return c == '?' || c == '#';
}

static bool is_border(char c)
{
    return c == '/' || c == ';' || is_path_end(c);
}

/* True if the path is the prefix or continues below it at a segment boundary. */
static bool is_under(struct str path, struct str prefix)
{
    return path.n && path.p[0] == '/' && str_starts(path, prefix) &&
           (path.n == prefix.n || is_border(path.p[prefix.n]));
}

/* Appends the tag of a session's value; an empty value deletes the session and gets none. */
static void put_tag(struct text_out *out, struct str session, const struct headers_info *info)
{
    char tag[AFFINITY_TAG];

    if (!session.n)
        return;
    affinity_tag(tag, info->tag_key, info->tag_id, session);
    put(out, str_make(tag, sizeof tag));
}

/* Writes a path with query and fragment; sessions in it get their tags. */
static void put_path(struct text_out *out, struct str path, const struct headers_info *info)
{
    struct str rest = path, session;

    while (info->tag_key && affinity_next_param(&rest, &session)) {
        put(out, str_span(path.p, rest.p));
        put_tag(out, session, info);
        path = rest;
    }
    put(out, path);
}

/* Writes a backend's path, with query and fragment, as the public one; other paths stay
 * unchanged. */
static void put_mapped(struct text_out *out, struct str path, const struct headers_info *info)
{
    if (!is_under(path, info->upstream_path)) {
        put_path(out, path, info);
        return;
    }
    struct str rest = str_skip(path, info->upstream_path.n);
    put(out, info->prefix);
    if (info->prefix.n == 0 && (rest.n == 0 || rest.p[0] != '/'))
        PUT(out, "/");
    put_path(out, rest, info);
}

/* A parsed authority; port is the given one or the scheme's default, 0 without a scheme. */
struct authority {
    struct str host;
    uint16_t given;
    uint16_t port;
};

static bool authority_parse(struct authority *to, struct str authority, bool has_scheme,
                            bool https)
{
    if (!http_authority_parse(authority, &to->host, &to->given))
        return false;
    to->port = to->given;
    if (!to->port && has_scheme)
        to->port = https ? 443 : 80;
    return true;
}

/*
 * Whether a URL's authority is pasgate under that name. The backend does not know that we speak
 * TLS, so on a TLS listener http:// with our port or without one means us. But https:// from a
 * plain listener is intended, not an error.
 */
static bool is_public(const struct authority *at, bool has_scheme, bool https,
                      const struct headers_info *info, struct str name)
{
    struct authority us;

    if (!authority_parse(&us, name, true, info->tls) || !str_eq_case(at->host, us.host))
        return false;
    if (!has_scheme)
        return !at->given || at->given == us.port;
    if (https)
        return info->tls && at->port == us.port;
    return at->port == us.port || (info->tls && at->port == 80);
}

/* Whether it is the backend under its own name; without a port only if that is not our public
 * name, too. */
static bool is_backend(const struct authority *at, const struct headers_info *info)
{
    struct authority backend, us;

    if (!authority_parse(&backend, info->backend_authority, true, false) ||
        !str_eq_case(at->host, backend.host))
        return false;
    if (at->port == backend.port)
        return true;
    return !at->given && !(authority_parse(&us, info->public_authority, false, false) &&
                           str_eq_case(us.host, backend.host));
}

/* "scheme://authority/path" or "//authority/path": false if it is neither, or refers to another
 * host. */
static bool put_absolute(struct text_out *out, struct str value,
                         const struct headers_info *info)
{
    struct str scheme = STR_EMPTY, rest = value;
    struct authority at;

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
    bool https = scheme.n == 5;
    if (!authority_parse(&at, str_head(rest, n), scheme.n, https))
        return false;
    if (!is_public(&at, scheme.n, https, info, info->public_authority) &&
        !is_public(&at, scheme.n, https, info, info->host_authority) && !is_backend(&at, info))
        return false;
    if (scheme.n)
        put(out, info->tls ? STR("https:") : STR("http:"));
    PUT(out, "//");
    put(out, info->public_authority);
    rest = str_skip(rest, n);
    if (rest.n == 0 || rest.p[0] != '/')
        put(out, rest);
    else
        put_mapped(out, rest, info);
    return true;
}

void public_names_location(struct text_out *out, struct str value,
                           const struct headers_info *info)
{
    if (str_starts(value, STR("/")) && !str_starts(value, STR("//")))
        put_mapped(out, value, info);
    else if (!info->public_authority.n || !put_absolute(out, value, info))
        put(out, value);
}

static struct str unquoted(struct str s)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return str_make(s.p + 1, s.n - 2);
    return s;
}

/* localhost, or the backend under its own name: the backend may put them into a
 * cookie, and a browser, which knows only the public name, would refuse it. */
static bool is_backend_domain(struct str domain, const struct headers_info *info)
{
    struct str host;
    uint16_t port;

    if (str_starts(domain, STR(".")))
        domain = str_skip(domain, 1);
    if (str_eq_case(domain, STR("localhost")))
        return true;
    return http_authority_parse(info->backend_authority, &host, &port) &&
           str_eq_case(domain, host);
}

static void put_cookie_path(struct text_out *out, struct str path,
                            const struct headers_info *info)
{
    if (info->upstream_path.n == 0 && str_eq(path, STR("/")) && info->prefix.n) {
        put(out, info->prefix); /* a cookie for "/pas/" would not be sent to "/pas" */
        return;
    }
    put_mapped(out, path, info);
}

void public_names_set_cookie(struct text_out *out, struct str value,
                             const struct headers_info *info)
{
    size_t at = str_index(value, ';');
    struct str pair = str_head(value, at), session;

    if (info->tag_key && affinity_set_cookie(pair, STR("JSESSIONID"), &session) && session.n) {
        size_t n = (size_t)(session.p + session.n - pair.p);

        put(out, str_head(pair, n));
        put_tag(out, session, info);
        put(out, str_skip(pair, n));
    } else {
        put(out, pair); /* name=value, unchanged */
    }
    for (value = str_skip(value, at); value.n; value = str_skip(value, at)) {
        /* value starts at a semicolon; the attribute ends before the next one */
        at = 1 + str_index(str_skip(value, 1), ';');
        struct str whole = str_head(value, at), attribute = str_skip(whole, 1);
        size_t equals = str_index(attribute, '=');
        struct str name = str_trim(str_head(attribute, equals));
        struct str arg = STR_EMPTY;
        if (equals < attribute.n)
            arg = unquoted(str_trim(str_skip(attribute, equals + 1)));

        if (str_eq_case(name, STR("path")) && is_under(arg, info->upstream_path)) {
            PUT(out, "; Path=");
            put_cookie_path(out, arg, info);
        } else if (!str_eq_case(name, STR("domain")) || !is_backend_domain(arg, info)) {
            put(out, whole);
        }
    }
}
