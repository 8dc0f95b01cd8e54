#include "worker/http/route.h"

#include <stdlib.h>

#include "base/conf/conf.h"
#include "worker/http/h1_chars.h"

/* Webapps and path segments of PASOE that only the operator may reach: they manage and monitor
 * the instance. */
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
    bool names_admin; /* upstream_path itself is shielded: the operator wants it reached */
};

struct route_table {
    size_t n;
    size_t nexact, nnamed; /* entries below have an exact host; have a host at all */
    char *text;            /* all strings */
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

/* Most specific first; equal ones in the order of the configuration, so that the first one
 * wins. */
static int route_compare(const void *va, const void *vb)
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

static struct str route_keep(char **text, struct str s, bool lower)
{
    struct str kept = str_make(*text, s.n);

    for (size_t i = 0; i < s.n; i++)
        (*text)[i] = lower ? (char)ascii_lower((unsigned char)s.p[i]) : s.p[i];
    *text += s.n;
    return kept;
}

/*
 * A path as a list of segments without their ;parameters, over two consecutive parts (the
 * replacement of the prefix, and the rest), so that the mapped path need not be built to be
 * classified.
 *
 * An encoded slash separates segments here, and empty ones are skipped: a backend may decode
 * it, and must not be led to a shielded path in this way. http/uri.h refuses dot segments next
 * to an encoded slash.
 */
struct segments {
    struct str part[2];
};

/* End of the first segment. Looks at no byte after it: the call for the next segment does. */
static size_t segment_end(struct str s)
{
    size_t end = 0;

    while (end < s.n && s.p[end] != '/' &&
           !(s.p[end] == '%' && str_starts(str_skip(s, end), STR("%2F"))))
        end++;
    return end;
}

static bool next_segment(struct segments *s, struct str *segment)
{
    do {
        if (s->part[0].n == 0) {
            s->part[0] = s->part[1];
            s->part[1] = STR_EMPTY;
        }
        struct str rest = s->part[0];
        if (rest.n == 0)
            return false;
        if (rest.p[0] == '/')
            rest = str_skip(rest, 1);
        else if (str_starts(rest, STR("%2F")))
            rest = str_skip(rest, 3);
        *segment = str_head(rest, segment_end(rest));
        s->part[0] = str_skip(rest, segment->n);
        *segment = str_head(*segment, str_index(*segment, ';'));
    } while (segment->n == 0);
    return true;
}

static bool route_is_one_of(struct str segment, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq_case(segment, names[i]))
            return true;
    }
    return false;
}

#define IS_ONE_OF(segment, names) \
    route_is_one_of((segment), (names), sizeof(names) / sizeof((names)[0]))

/* What the segments of a path say about it: one walk, because each request takes it. */
struct verdict {
    enum route_class class;
    bool admin;
};

static struct verdict judge(struct segments s)
{
    struct verdict v = {ROUTE_CLASS_PLAIN, false};
    struct str segment;

    for (unsigned i = 0; next_segment(&s, &segment); i++) {
        if (i < 2 && v.class == ROUTE_CLASS_PLAIN) {
            if (str_eq_case(segment, STR("apsv")))
                v.class = ROUTE_CLASS_APSV;
            else if (str_eq_case(segment, STR("soap")))
                v.class = ROUTE_CLASS_SOAP;
        }
        v.admin |=
            (i == 0 && IS_ONE_OF(segment, admin_webapps)) || IS_ONE_OF(segment, admin_segments);
    }
    return v;
}

enum route_class route_class_of(struct str path)
{
    return judge((struct segments){{path, STR_EMPTY}}).class;
}

bool route_is_admin(struct str path)
{
    return judge((struct segments){{path, STR_EMPTY}}).admin;
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
        e->host = route_keep(&text, host, true);
        e->path = route_keep(&text, without_slash(rules[i].path), false);
        e->upstream_path = route_keep(&text, without_slash(upstream), false);
        e->target = rules[i].target;
        e->rule = (uint32_t)i;
        e->names_admin = route_is_admin(e->upstream_path);
    }
    if (n > 1)
        qsort(t->entries, n, sizeof(t->entries[0]), route_compare);
    t->nexact = t->nnamed = 0;
    while (t->nexact < n && t->entries[t->nexact].kind == HOST_EXACT)
        t->nexact++;
    for (t->nnamed = t->nexact; t->nnamed < n && t->entries[t->nnamed].kind != HOST_ANY;)
        t->nnamed++;
    return t;
}

void route_table_free(struct route_table *t)
{
    if (!t)
        return;
    free(t->text);
    free(t);
}

/* Orders hosts of one kind like route_compare(); the case of the second one is ignored. */
static int host_compare(struct str entry, struct str host)
{
    if (entry.n != host.n)
        return entry.n > host.n ? -1 : 1;
    for (size_t i = 0; i < host.n; i++) {
        int d = (unsigned char)entry.p[i] - (int)ascii_lower((unsigned char)host.p[i]);

        if (d)
            return d;
    }
    return 0;
}

/* Whether the path without its ;parameters is the prefix or below it; *end is where the prefix
 * ends in the path. */
static bool path_matches(struct str path, struct str prefix, size_t *end)
{
    bool plain = str_starts(path, prefix); /* the usual case: a prefix has no parameters */
    size_t i = plain ? prefix.n : 0;

    for (size_t j = i; j < prefix.n; j++, i++) {
        if (i < path.n && path.p[i] == ';')
            i += str_index(str_skip(path, i), '/');
        if (i >= path.n || path.p[i] != prefix.p[j])
            return false;
    }
    *end = i;
    return i == path.n || path.p[i] == '/' || path.p[i] == ';';
}

/* The first entry in [from, to), all of one kind, with this host and a matching path. */
static const struct entry *route_find(const struct route_table *t, size_t from, size_t to,
                                      struct str host, struct str path, size_t *end)
{
    size_t last = to;

    while (from < to) {
        size_t middle = (from + to) / 2;

        if (host_compare(t->entries[middle].host, host) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    for (; from < last && host_compare(t->entries[from].host, host) == 0; from++)
        if (path_matches(path, t->entries[from].path, end))
            return &t->entries[from];
    return NULL;
}

/* Tries the longest suffix first. */
static const struct entry *find_wildcard(const struct route_table *t, struct str host,
                                         struct str path, size_t *end)
{
    const struct entry *found = NULL;
    size_t i = host.n > CONF_HOST_LEN + 1 ? host.n - CONF_HOST_LEN - 1 : 1;

    for (; !found && t->nnamed > t->nexact && i < host.n; i++)
        if (host.p[i] == '.')
            found = route_find(t, t->nexact, t->nnamed, str_skip(host, i), path, end);
    return found;
}

bool route_lookup(const struct route_table *t, struct str host, struct str path,
                  struct route_match *match)
{
    const struct entry *e;
    size_t end = 0;

    host = without_dot(host);
    e = route_find(t, 0, t->nexact, host, path, &end);
    if (!e)
        e = find_wildcard(t, host, path, &end);
    if (!e)
        e = route_find(t, t->nnamed, t->n, STR_EMPTY, path, &end);
    if (!e)
        return false;
    struct str rest = str_skip(path, end); /* parameters of the prefix are not a segment */
    rest = str_skip(rest, segment_end(rest));
    struct verdict mapped = judge((struct segments){{e->upstream_path, rest}});
    *match = (struct route_match){.target = e->target,
                                  .rule = e->rule,
                                  .class = (uint8_t)mapped.class,
                                  .shielded = mapped.admin && !e->names_admin,
                                  .prefix = e->path,
                                  .upstream_path = e->upstream_path};
    return true;
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
