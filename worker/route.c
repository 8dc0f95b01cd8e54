#include "worker/route.h"

#include <stdlib.h>

#include "worker/http1_chars.h"

/* Names of the webapps and paths that only the operator may reach (PAS.md section 6, row 8). */
static const struct str admin_webapps[] = {STR_INIT("oemanager"), STR_INIT("manager"),
                                           STR_INIT("host-manager"), STR_INIT("health")};
static const struct str admin_segments[] = {STR_INIT("_oeping"), STR_INIT("_oepingService")};

/* In order of precedence; entries are sorted by it. */
enum host_kind { HOST_EXACT, HOST_WILDCARD, HOST_ANY };

struct entry {
    enum host_kind kind;
    struct str host; /* of a wildcard: ".shop.test" */
    struct str path; /* without trailing slash: "" for "/" */
    struct str upstream_path;
    uint32_t target;
    uint32_t rule;
    bool allow_admin;
};

struct route_table {
    size_t n;
    char *text; /* all strings */
    struct entry entries[];
};

static struct str without_slash(struct str path)
{
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    return path;
}

static struct str without_dot(struct str host)
{
    return host.n && host.p[host.n - 1] == '.' ? str_head(host, host.n - 1) : host;
}

/* Most specific first; equals in the order of the configuration, so the first one wins. */
static int compare(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->host.n != b->host.n)
        return a->host.n > b->host.n ? -1 : 1;
    int order = a->host.n ? memcmp(a->host.p, b->host.p, a->host.n) : 0;
    if (order)
        return order;
    if (a->path.n != b->path.n)
        return a->path.n > b->path.n ? -1 : 1;
    return a->rule < b->rule ? -1 : 1;
}

static struct str keep(char **text, struct str s, bool lower)
{
    struct str kept = str_make(*text, s.n);

    for (size_t i = 0; i < s.n; i++)
        (*text)[i] = lower ? (char)ascii_lower((unsigned char)s.p[i]) : s.p[i];
    *text += s.n;
    return kept;
}

/*
 * A path as a list of segments without their ;parameters, over two parts that follow each other
 * (what replaces the prefix, and the rest), so that the mapped path need not be built to be
 * judged.
 */
struct segments {
    struct str part[2];
};

static bool next_segment(struct segments *s, struct str *segment)
{
    if (s->part[0].n == 0) {
        s->part[0] = s->part[1];
        s->part[1] = STR_EMPTY;
    }
    if (s->part[0].n == 0)
        return false;
    struct str rest = s->part[0];
    if (rest.p[0] == '/')
        rest = str_skip(rest, 1);
    *segment = str_head(rest, str_index(rest, '/'));
    s->part[0] = str_skip(rest, segment->n);
    *segment = str_head(*segment, str_index(*segment, ';'));
    return true;
}

static enum route_class class_of(struct segments s)
{
    struct str segment;

    for (int i = 0; i < 2 && next_segment(&s, &segment); i++) {
        if (str_eq_case(segment, STR("apsv")))
            return ROUTE_CLASS_APSV;
        if (str_eq_case(segment, STR("soap")))
            return ROUTE_CLASS_SOAP;
    }
    return ROUTE_CLASS_PLAIN;
}

static bool is_one_of(struct str segment, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq_case(segment, names[i]))
            return true;
    }
    return false;
}

#define IS_ONE_OF(segment, names) \
    is_one_of((segment), (names), sizeof(names) / sizeof((names)[0]))

static bool is_admin(struct segments s)
{
    struct str segment;

    for (bool first = true; next_segment(&s, &segment); first = false) {
        if ((first && IS_ONE_OF(segment, admin_webapps)) || IS_ONE_OF(segment, admin_segments))
            return true;
    }
    return false;
}

enum route_class route_class_of(struct str path)
{
    return class_of((struct segments){{path, STR_EMPTY}});
}

bool route_is_admin(struct str path)
{
    return is_admin((struct segments){{path, STR_EMPTY}});
}

struct route_table *route_table_new(const struct route_rule *rules, size_t n)
{
    size_t bytes = 1;

    for (size_t i = 0; i < n; i++)
        bytes += rules[i].host.n + rules[i].path.n + rules[i].upstream_path.n + rules[i].path.n;
    struct route_table *t = malloc(sizeof(*t) + n * sizeof(t->entries[0]));
    char *text = malloc(bytes);
    if (!t || !text) {
        free(t);
        free(text);
        return NULL;
    }
    t->n = n;
    t->text = text;
    for (size_t i = 0; i < n; i++) {
        struct entry *e = &t->entries[i];
        struct str host = without_dot(rules[i].host);
        struct str upstream = rules[i].upstream_path.n ? rules[i].upstream_path : rules[i].path;

        e->kind = HOST_EXACT;
        if (host.n == 0 || str_eq(host, STR("*"))) {
            e->kind = HOST_ANY;
            host = STR_EMPTY;
        } else if (str_starts(host, STR("*."))) {
            e->kind = HOST_WILDCARD;
            host = str_skip(host, 1);
        }
        e->host = keep(&text, host, true);
        e->path = keep(&text, without_slash(rules[i].path), false);
        e->upstream_path = keep(&text, without_slash(upstream), false);
        e->target = rules[i].target;
        e->rule = (uint32_t)i;
        e->allow_admin = rules[i].allow_admin || route_is_admin(e->upstream_path);
    }
    if (n > 1)
        qsort(t->entries, n, sizeof(t->entries[0]), compare);
    return t;
}

void route_table_free(struct route_table *t)
{
    if (!t)
        return;
    free(t->text);
    free(t);
}

static bool host_matches(const struct entry *e, struct str host)
{
    switch (e->kind) {
    case HOST_EXACT:
        return str_eq_case(host, e->host);
    case HOST_WILDCARD:
        return host.n > e->host.n && str_ends_case(host, e->host);
    default:
        return true;
    }
}

/* Whether the path without its ;parameters is the prefix or below; *end is the prefix's end in
 * it. */
static bool path_matches(struct str path, struct str prefix, size_t *end)
{
    size_t i = 0;

    for (size_t j = 0; j < prefix.n; j++, i++) {
        if (i < path.n && path.p[i] == ';')
            i += str_index(str_skip(path, i), '/');
        if (i >= path.n || path.p[i] != prefix.p[j])
            return false;
    }
    *end = i;
    return i == path.n || path.p[i] == '/' || path.p[i] == ';';
}

bool route_lookup(const struct route_table *t, struct str host, struct str path,
                  struct route_match *match)
{
    size_t end;

    host = without_dot(host);
    for (size_t i = 0; i < t->n; i++) {
        const struct entry *e = &t->entries[i];
        if (!host_matches(e, host) || !path_matches(path, e->path, &end))
            continue;
        struct str rest = str_skip(path, end); /* parameters of the prefix are no segment */
        rest = str_skip(rest, str_index(rest, '/'));
        struct segments mapped = {{e->upstream_path, rest}};
        *match = (struct route_match){.target = e->target,
                                      .rule = e->rule,
                                      .class = (uint8_t)class_of(mapped),
                                      .shielded = !e->allow_admin && is_admin(mapped),
                                      .prefix = e->path,
                                      .upstream_path = e->upstream_path};
        return true;
    }
    return false;
}

ssize_t route_map_path(const struct route_match *match, struct str path, char *out, size_t cap)
{
    size_t end;

    if (!path_matches(path, match->prefix, &end))
        return -1;
    struct str up = match->upstream_path, rest = str_skip(path, end);
    bool root = up.n == 0 && (rest.n == 0 || rest.p[0] != '/');
    if (up.n + rest.n + root > cap)
        return -1;
    if (root)
        out[0] = '/';
    if (up.n)
        memcpy(out, up.p, up.n);
    if (rest.n)
        memcpy(out + up.n + root, rest.p, rest.n);
    return (ssize_t)(up.n + rest.n + root);
}

bool route_acme_token(struct str path, struct str *token)
{
    static const struct str prefix = STR_INIT("/.well-known/acme-challenge/");

    *token = STR_EMPTY;
    if (!str_starts(path, prefix))
        return false;
    struct str rest = str_skip(path, prefix.n);
    for (size_t i = 0; i < rest.n; i++) {
        unsigned char c = (unsigned char)rest.p[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' && c != '_')
            return true;
    }
    *token = rest;
    return true;
}
