#include "worker/proxy/sticky.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "shm/apsv_map.h"
#include "shm/sessions.h"
#include "worker/core/core.h"
#include "worker/http/http.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"

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

/* ---- live sessions */

/* A tag ends with a keyed hash of the session, which can be used as it is. */
static uint64_t hash_of_tag(const char tag_end[sizeof(uint64_t)])
{
    uint64_t hash;

    memcpy(&hash, tag_end, sizeof hash);
    return hash;
}

static uint64_t hash_of_tagged(struct str session)
{
    return hash_of_tag(session.p + session.n - sizeof(uint64_t));
}

/* With pasgate's own cookie, all sessions of a backend have the same value; clients are then
 * distinguished by their addresses. */
static uint64_t hash_of_client(const struct exchange *x)
{
    return affinity_handle(&x->worker->affinity, x->origin.ip);
}

static void sticky_note(const struct exchange *x)
{
    const struct worker *w = x->worker;

    sessions_note(w->row, x->session_at->slot, w->session_words, x->session, w->loop.now_ms,
                  x->pool->conf->session_idle_ms);
}

static void take_session(struct exchange *x, uint64_t hash, struct backend_view *at)
{
    x->session = hash;
    x->session_at = at;
    sticky_note(x);
}

/* ---- marks in a request */

/* The first one that names a backend of the pool counts: a client with sessions in several
 * pools sends them all. But a tag of ours takes precedence over a jvmRoute. */
static void take_requested(struct exchange *x, struct backend_view *requested, uint64_t hash)
{
    if ((x->requested && !x->by_route) || !requested)
        return;
    x->requested = requested;
    x->by_route = false;
    x->session = hash;
}

/* The backend with that jvmRoute, if there is only one: containers of one image often share
 * theirs. */
static struct backend_view *by_route(const struct pool_view *pool, struct str route)
{
    struct backend_view *found = NULL;

    for (uint32_t i = 0; route.n && i < pool->nbackends; i++) {
        if (!str_eq(route, str_from(pool->backends[i].conf->route)))
            continue;
        if (found)
            return NULL;
        found = &pool->backends[i];
    }
    return found;
}

/* A jvmRoute may contain dots, and so may the text before it. */
static void take_route(struct exchange *x, struct str session)
{
    struct backend_view *b;

    if (x->requested)
        return;
    b = by_route(x->pool, affinity_route(session, false));
    if (!b)
        b = by_route(x->pool, affinity_route(session, true));
    if (!b)
        return;
    take_requested(x, b, affinity_handle(&x->worker->affinity, session));
    x->by_route = true;
}

static void look_at_session(struct exchange *x, struct str session, struct sticky_cuts *cuts)
{
    struct str bare;
    uint32_t id;

    if (x->pool->conf->sticky == CONF_STICKY_ROUTE) {
        take_route(x, session);
    } else if (affinity_untag(&x->worker->affinity, session, &bare, &id)) {
        cuts->cut[cuts->n++] = str_skip(session, bare.n);
        take_requested(x, backends_by_id(x->pool, id), hash_of_tagged(session));
    } else {
        /* a session from another load balancer, or one whose tag was lost on the way */
        take_route(x, session);
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
    cuts->cut[cuts->n++] = cookie->whole; /* our own, whatever its value */
    if (affinity_token_check(&x->worker->affinity, cookie->value, name, &id))
        take_requested(x, backends_by_id(x->pool, id), hash_of_client(x));
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

/* The handle of an APSV connection; a request for a new one has "0". */
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
    uint64_t hash;
    uint32_t id;

    if (!handle.n)
        return;
    hash = affinity_handle(&worker->affinity, handle);
    if (apsv_map_find(worker->table, hash, worker->loop.now_ms, &id))
        take_requested(x, backends_by_id(x->pool, id), hash);
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
    if (x->match.class == ROUTE_CLASS_APSV && !x->requested)
        look_at_handle(x);
    x->affinity = x->requested;
    if (x->affinity && backends_serves_sessions(x->affinity))
        take_session(x, x->session, x->affinity);
}

/* ---- marks in a response */

static void learn_handle(struct exchange *x, const struct http_response *head)
{
    const struct http_field *f = http_response_field(head, HTTP_F_CONNHDL);
    uint64_t hash;

    if (!f || !f->value.n || str_eq(f->value, STR("0")))
        return;
    hash = affinity_handle(&x->worker->affinity, f->value);
    apsv_map_learn(x->worker->row, hash, x->active->backend->id, x->worker->loop.now_ms);
    if (x->session_at != x->active->backend)
        take_session(x, hash, x->active->backend);
}

/* A session that this response creates, hashed as later requests will name it. */
static void learn_session(struct exchange *x, struct str session)
{
    const struct affinity_key *key = &x->worker->affinity;
    char tag[AFFINITY_TAG];

    if (!session.n) /* the session is deleted */
        return;
    if (x->pool->conf->sticky == CONF_STICKY_AUTO) {
        affinity_tag(tag, key, x->active->backend->id, session);
        take_session(x, hash_of_tag(tag + sizeof tag - sizeof(uint64_t)), x->active->backend);
    } else if (by_route(x->pool, affinity_route(session, false)) == x->active->backend ||
               by_route(x->pool, affinity_route(session, true)) == x->active->backend) {
        take_session(x, affinity_handle(key, session), x->active->backend);
    }
}

void sticky_response(struct exchange *x, const struct http_response *head)
{
    enum conf_sticky how = x->pool->conf->sticky;
    struct str session;

    if (how == CONF_STICKY_NONE)
        return;
    if (x->match.class == ROUTE_CLASS_APSV)
        learn_handle(x, head);
    if (how == CONF_STICKY_COOKIE && x->requested != x->active->backend)
        take_session(x, hash_of_client(x), x->active->backend);
    for (unsigned i = 0; how != CONF_STICKY_COOKIE && i < head->nfields; i++)
        if (head->fields[i].id == HTTP_F_SET_COOKIE &&
            affinity_set_cookie(head->fields[i].value, jsessionid, &session))
            learn_session(x, session);
}

void sticky_end(const struct exchange *x)
{
    if (x->session_at && x->session_at == x->active->backend)
        sticky_note(x);
}

void sticky_mark(const struct exchange *x, struct headers_info *info,
                 char cookie[STICKY_COOKIE])
{
    const struct affinity_key *key = &x->worker->affinity;
    enum conf_sticky how = x->pool->conf->sticky;
    char text[COOKIE_NAME], token[AFFINITY_TOKEN];
    struct str name;
    int n;

    if (how == CONF_STICKY_AUTO) {
        info->tag_key = key;
        info->tag_id = x->active->backend->id;
    }
    if (how != CONF_STICKY_COOKIE || x->requested == x->active->backend)
        return;
    name = cookie_name(text, x->pool->conf);
    affinity_token(token, key, x->active->backend->id, name);
    n = snprintf(cookie, STICKY_COOKIE, "%.*s=%.*s; Path=/; HttpOnly%s; SameSite=Lax",
                 STR_ARG(name), AFFINITY_TOKEN, token, x->origin.https ? "; Secure" : "");
    info->add_cookie = str_make(cookie, (size_t)n);
}
