#include "worker/sticky.h"

#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "shm/handles.h"
#include "worker/backends.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/http.h"
#include "worker/rewrite.h"

static const struct str jsessionid = STR_INIT("JSESSIONID");

enum { COOKIE_NAME = sizeof "PASGATE_" + CONF_NAME_LEN };

void sticky_key(struct worker *worker, const uint8_t bytes[AFFINITY_KEY])
{
    worker->affinity = affinity_key(bytes);
    worker->has_affinity = true;
    for (size_t i = 0; i < worker->conf->n_backends; i++) {
        struct backend_view *b = &worker->backends[i];

        b->id = affinity_id(&worker->affinity, str_from(b->conf->name));
    }
}

static struct str cookie_name(char out[COOKIE_NAME], const struct conf_pool *pool)
{
    int n = snprintf(out, COOKIE_NAME, "PASGATE_%s", pool->name);

    return str_make(out, (size_t)n);
}

/* ---- what a request brings */

/* The first one that the pool has is it: who has sessions in several pools sends
 * them all. */
static void take_named(struct exchange *x, uint32_t id)
{
    if (!x->named)
        x->named = backends_by_id(x->pool, id);
}

static struct backend_view *by_route(const struct pool_view *pool, struct str route)
{
    for (uint32_t i = 0; route.n && i < pool->nbackends; i++)
        if (str_eq(route, str_from(pool->backends[i].conf->route)))
            return &pool->backends[i];
    return NULL;
}

/* A jvmRoute may have dots in it, and so may what stands before it. */
static void take_route(struct exchange *x, struct str session)
{
    if (!x->named)
        x->named = by_route(x->pool, affinity_route(session, false));
    if (!x->named)
        x->named = by_route(x->pool, affinity_route(session, true));
}

static void look_at_session(struct exchange *x, struct str session, struct sticky_cuts *cuts)
{
    struct str bare;
    uint32_t id;

    if (x->pool->conf->sticky == CONF_STICKY_ROUTE) {
        take_route(x, session);
    } else if (affinity_untag(&x->worker->affinity, session, &bare, &id)) {
        cuts->cut[cuts->n++] = str_skip(session, bare.n);
        take_named(x, id);
    }
}

static void look_at_cookie(struct exchange *x, struct str name,
                           const struct affinity_cookie *cookie, struct sticky_cuts *cuts)
{
    uint32_t id;

    if (x->pool->conf->sticky != CONF_STICKY_COOKIE) {
        look_at_session(x, cookie->value, cuts);
        return;
    }
    cuts->cut[cuts->n++] = cookie->whole; /* ours, whatever it says */
    if (affinity_token_check(&x->worker->affinity, cookie->value, name, &id))
        take_named(x, id);
}

static void look_at_cookies(struct exchange *x, struct sticky_cuts *cuts)
{
    const struct http_request *r = x->request;
    char text[COOKIE_NAME];
    struct str name = jsessionid;
    struct affinity_cookie cookie;
    unsigned looks = 0;

    if (x->pool->conf->sticky == CONF_STICKY_COOKIE)
        name = cookie_name(text, x->pool->conf);
    for (unsigned i = 0; i < r->nfields; i++) {
        struct str cookies = r->fields[i].value;

        if (r->fields[i].id != HTTP_F_COOKIE)
            continue;
        while (looks < AFFINITY_LOOKS && affinity_next_cookie(&cookies, name, &cookie)) {
            look_at_cookie(x, name, &cookie, cuts);
            looks++;
        }
    }
}

static void look_at_path(struct exchange *x, char *path, size_t *n)
{
    struct str rest = str_make(path, *n), session;

    for (unsigned looks = 0; looks < AFFINITY_LOOKS && affinity_next_param(&rest, &session);
         looks++) {
        struct sticky_cuts cut = {.n = 0};

        look_at_session(x, session, &cut);
        if (!cut.n)
            continue;
        memmove(path + (cut.cut[0].p - path), rest.p, rest.n);
        *n -= cut.cut[0].n;
        rest.p = cut.cut[0].p;
    }
}

/* The handle of an APSV connection; a new one asks with "0". */
static struct str handle_of_request(const struct http_request *r)
{
    const struct http_field *f = http_request_field(r, HTTP_F_CONNHDL);
    struct str handle = f ? f->value : affinity_argument(r->query, STR("CONNHDL"));

    return str_eq(handle, STR("0")) ? STR_EMPTY : handle;
}

static void look_at_handle(struct exchange *x)
{
    struct worker *worker = x->worker;
    struct str handle = handle_of_request(x->request);
    uint32_t id;

    if (handle.n && handles_find(worker->table, affinity_handle(&worker->affinity, handle),
                                 worker->loop.now_ms, &id))
        take_named(x, id);
}

void sticky_request(struct exchange *x, char *path, size_t *n, struct sticky_cuts *cuts)
{
    enum conf_sticky how = x->pool->conf->sticky;

    cuts->n = 0;
    if (how == CONF_STICKY_NONE)
        return;
    look_at_cookies(x, cuts);
    if (how != CONF_STICKY_COOKIE)
        look_at_path(x, path, n);
    if (x->match.class == ROUTE_CLASS_APSV && !x->named)
        look_at_handle(x);
    x->home = x->named;
}

/* ---- what an answer takes along */

void sticky_answer(struct exchange *x, const struct http_response *head)
{
    const struct http_field *f;

    if (x->match.class != ROUTE_CLASS_APSV || x->pool->conf->sticky == CONF_STICKY_NONE)
        return;
    f = http_response_field(head, HTTP_F_CONNHDL);
    if (f && f->value.n && !str_eq(f->value, STR("0")))
        handles_learn(x->worker->row, affinity_handle(&x->worker->affinity, f->value),
                      x->backend->id, x->worker->loop.now_ms);
}

void sticky_mark(const struct exchange *x, bool tls, struct rewrite_response_info *info,
                 char cookie[STICKY_COOKIE])
{
    const struct affinity_key *key = &x->worker->affinity;
    enum conf_sticky how = x->pool->conf->sticky;
    char text[COOKIE_NAME], token[AFFINITY_TOKEN];
    struct str name;
    int n;

    if (how == CONF_STICKY_AUTO) {
        info->tag_key = key;
        info->tag_id = x->backend->id;
    }
    if (how != CONF_STICKY_COOKIE || x->named == x->backend)
        return;
    name = cookie_name(text, x->pool->conf);
    affinity_token(token, key, x->backend->id, name);
    n = snprintf(cookie, STICKY_COOKIE, "%.*s=%.*s; Path=/; HttpOnly%s; SameSite=Lax",
                 STR_ARG(name), AFFINITY_TOKEN, token, tls ? "; Secure" : "");
    info->add_cookie = str_make(cookie, (size_t)n);
}
