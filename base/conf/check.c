/* conf/check.c - checks across settings: names that refer to each other and settings that
 * exclude each other; and fills in values that follow from other settings. See conf/build.h.
 *
 * It also runs on trees with errors, so that one run reports all of them: a string that could
 * not be read is "" here, and is not reported a second time. */
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/conf/value.h"
#include "base/str.h"

#define HTTPS_PORT 443

static bool conf_check_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* A string that could not be read may be NULL until here. */
static void conf_check_no_null(const char **s)
{
    if (!*s)
        *s = "";
}

static unsigned conf_check_first(unsigned a, unsigned b)
{
    return a ? a : b;
}

static uint32_t count_cpus(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > CONF_MAX_WORKERS ? CONF_MAX_WORKERS : (uint32_t)n;
}

/* ---- listeners */

static struct conf_listen *default_listeners(struct conf_build *b)
{
    struct conf_listen *l = conf_arena_alloc(b->arena, 2 * sizeof *l);

    l[0].address = "*:443";
    l[0].tls = l[0].http2 = true;
    l[1].address = "*:80";
    l[1].redirect = CONF_REDIRECT_HTTPS;
    CHECK(conf_parse_listen(l[0].address, &l[0]) && conf_parse_listen(l[1].address, &l[1]));
    b->conf->listen = l;
    b->conf->n_listen = 2;
    return l;
}

static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void check_listener(struct conf_build *b, struct conf_listen *l, uint16_t https_port)
{
    unsigned line = conf_line_of_record(b, l);

    if (l->tls && l->redirect)
        conf_errors_add(&b->report, line,
                        "listen: tls and redirect together; write redirect on the listener "
                        "without tls");
    if (l->redirect && l->serve == CONF_SERVE_STATUS)
        conf_errors_add(&b->report, line,
                        "listen: serve and redirect together; write one of them");
    if (l->redirect && l->redirect_port == 0 && https_port == 0)
        conf_errors_add(&b->report, line,
                        "listen: redirects to https, but no listener has tls; add one, or say "
                        "where with redirect_port");
    if (l->tls && b->conf->n_certs == 0 && !conf_line_of_field(b, &b->conf->certs))
        conf_errors_add(&b->report, line,
                        "listen: %s has tls, but there is no certificate; write certificates = "
                        "( { names = [ \"www.example.com\" ]; } );",
                        l->address);
    if (l->redirect_port == 0)
        l->redirect_port = https_port ? https_port : HTTPS_PORT;
    if (l->dual && !have_ipv6()) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(l->port)};
        memset(&l->addr, 0, sizeof l->addr);
        memcpy(&l->addr, &any, sizeof any);
        l->addr_len = sizeof any;
        l->dual = false;
    }
}

static void check_listeners(struct conf_build *b)
{
    struct conf *conf = b->conf;
    struct conf_listen *l = (struct conf_listen *)conf->listen;
    uint16_t https_port = 0;

    if (conf->n_listen == 0 && !conf_line_of_field(b, &conf->listen))
        l = default_listeners(b);
    for (size_t i = 0; i < conf->n_listen; i++) {
        conf_check_no_null(&l[i].address);
        l[i].index = (uint32_t)i;
        if (l[i].tls && https_port == 0)
            https_port = l[i].port;
    }
    for (size_t i = 0; i < conf->n_listen; i++) {
        check_listener(b, &l[i], https_port);
        conf_check_client_certs(b, &l[i]);
        for (size_t j = 0; j < i; j++) {
            if (l[i].addr_len && l[i].addr_len == l[j].addr_len &&
                memcmp(&l[i].addr, &l[j].addr, l[i].addr_len) == 0)
                conf_errors_add(&b->report, conf_line_of_record(b, &l[i]),
                                "listen: %s twice; write each address once", l[i].address);
        }
    }
}

/* ---- pools */

static void resolve_check(struct conf_build *b, struct conf_check *check)
{
    static const struct conf_status_range redirects_too = {200, 399}, any_response = {200, 499},
                                          only_200 = {200, 200};
    bool own_path = *check->path;

    if (!own_path)
        check->path = check->type == CONF_CHECK_PASOE ? "/rest/_oepingService/_oeping" : "/";
    if (check->n_status == 0) {
        struct conf_status_range *r = conf_arena_alloc(b->arena, sizeof *r);
        *r = check->type == CONF_CHECK_PASOE ? only_200
             : own_path                      ? redirects_too
                                             : any_response;
        check->status = r;
        check->n_status = 1;
    }
    if (check->type == CONF_CHECK_TCP && *check->body)
        conf_errors_add(&b->report, conf_line_of_field(b, &check->body),
                        "pools.check.body: a tcp check has no response; write type = \"http\"");
}

/* Reports an earlier backend with the same name, or with the same address in the same pool. */
static void check_twins(struct conf_build *b, size_t pool, size_t backend)
{
    const struct conf_pool *pools = b->conf->pools;
    const struct conf_backend *x = &pools[pool].backends[backend];
    unsigned line = conf_line_of_record(b, x);
    char address[CONF_ADDRESS_LEN];

    for (size_t p = 0; p <= pool; p++) {
        size_t end = p == pool ? backend : pools[p].n_backends;
        for (size_t i = 0; i < end; i++) {
            const struct conf_backend *y = &pools[p].backends[i];
            if (p == pool && *x->host && conf_check_eq(x->host, y->host) &&
                x->port == y->port && conf_check_eq(x->socket, y->socket))
                conf_errors_add(&b->report, line,
                                "pools.backends: %s twice in pool \"%s\"; write it once, "
                                "with a larger weight if it is to get more requests",
                                conf_backend_address(x, address), pools[p].name);
            else if (*x->name && conf_check_eq(x->name, y->name))
                conf_errors_add(&b->report,
                                conf_check_first(conf_line_of_field(b, &x->name), line),
                                "pools.backends.name: \"%s\" twice; give each backend of the "
                                "file its own name",
                                x->name);
        }
    }
}

/* Stickiness by route needs a route that only one backend has. */
static void check_route_twins(struct conf_build *b, const struct conf_pool *pool,
                              size_t backend)
{
    const struct conf_backend *x = &pool->backends[backend];

    if (pool->sticky != CONF_STICKY_ROUTE || !*x->route)
        return;
    for (size_t i = 0; i < backend; i++)
        if (conf_check_eq(x->route, pool->backends[i].route))
            conf_errors_add(
                &b->report,
                conf_check_first(conf_line_of_field(b, &x->route), conf_line_of_record(b, x)),
                "pools.backends.route: \"%s\" twice; if several backends share one jvmRoute, "
                "write sticky = \"auto\"",
                x->route);
}

static void check_restart(struct conf_build *b, struct conf_backend *x)
{
    unsigned docker = conf_line_of_field(b, &x->restart_docker);

    for (size_t i = 0; i < x->n_restart_command; i++)
        conf_check_no_null((const char **)&x->restart_command[i]);
    if (*x->restart_docker && x->n_restart_command)
        conf_errors_add(&b->report, docker,
                        "pools.backends.restart: docker and command together; write one of "
                        "them");
    if (x->restart_stop_ms && x->restart_timeout_ms &&
        x->restart_stop_ms >= x->restart_timeout_ms)
        conf_errors_add(&b->report,
                        conf_check_first(conf_line_of_field(b, &x->restart_timeout_ms),
                                         conf_line_of_field(b, &x->restart_stop_ms)),
                        "pools.backends.restart.timeout: must be longer than stop_timeout, or "
                        "no time is left to start; increase it, or reduce stop_timeout");
    if (*x->restart_oemanager && !strchr(x->restart_oemanager, ':'))
        conf_errors_add(&b->report, conf_line_of_field(b, &x->restart_oemanager),
                        "pools.backends.restart.oemanager: has no colon; write "
                        "\"name:password\"");
}

static const char *default_name(struct conf_build *b, const struct conf_backend *x)
{
    const char *file = strrchr(x->socket, '/');
    char name[CONF_SOCKET_LEN + 1];
    size_t n;

    if (!file)
        return conf_name_from_host(b, x->host);
    n = strlen(++file);
    if (n > 5 && conf_check_eq(file + n - 5, ".sock"))
        n -= 5;
    snprintf(name, sizeof name, "%.*s", (int)n, file);
    return conf_name_from_host(b, name);
}

static void check_socket(struct conf_build *b, const struct conf_pool *pool,
                         const struct conf_backend *x)
{
    unsigned line = conf_line_of_field(b, &pool->check.port);

    if (*x->socket && pool->check.port)
        conf_errors_add(&b->report, line,
                        "pools.check.port: backend %s is a unix socket, which has no ports; "
                        "remove it, or give this backend a pool of its own",
                        x->name);
}

static void check_pool(struct conf_build *b, size_t index)
{
    struct conf_pool *pools = (struct conf_pool *)b->conf->pools, *pool = &pools[index];
    struct conf_backend *backends = (struct conf_backend *)pool->backends;

    pool->index = (uint32_t)index;
    conf_check_no_null(&pool->name);
    for (size_t i = 0; i < index; i++) {
        if (*pool->name && conf_check_eq(pool->name, pools[i].name))
            conf_errors_add(&b->report, conf_line_of_field(b, &pool->name),
                            "pools.name: \"%s\" twice; give each pool its own", pool->name);
    }
    resolve_check(b, &pool->check);
    conf_check_tls(b, index);
    if (pool->eject.max_ms < pool->eject.time_ms)
        conf_errors_add(&b->report,
                        conf_check_first(conf_line_of_field(b, &pool->eject.max_ms),
                                         conf_line_of_field(b, &pool->eject.time_ms)),
                        "pools.eject.max_time: is less than time; write at least as much");
    for (size_t i = 0; i < pool->n_backends; i++) {
        conf_check_no_null(&backends[i].host);
        backends[i].pool = pool->index;
        if (!*backends[i].name)
            backends[i].name = default_name(b, &backends[i]);
        if (!*backends[i].route)
            backends[i].route = backends[i].name;
        check_twins(b, index, i);
        check_route_twins(b, pool, i);
        check_restart(b, &backends[i]);
        check_socket(b, pool, &backends[i]);
    }
}

/* Copies the backends of all pools into one array. */
static void gather_backends(struct conf_build *b)
{
    struct conf *conf = b->conf;
    struct conf_pool *pools = (struct conf_pool *)conf->pools;
    size_t n = 0;

    for (size_t i = 0; i < conf->n_pools; i++)
        n += pools[i].n_backends;
    if (n > CONF_MAX_BACKENDS) {
        conf_errors_add(&b->report, 0, "%zu backends in total; at most %d are allowed", n,
                        CONF_MAX_BACKENDS);
        return;
    }
    struct conf_backend *all = conf_arena_alloc(b->arena, n * sizeof *all);
    conf->backends = all;
    for (size_t i = 0; i < conf->n_pools; i++) {
        if (pools[i].n_backends)
            memcpy(all + conf->n_backends, pools[i].backends,
                   pools[i].n_backends * sizeof *all);
        pools[i].backends = all + conf->n_backends;
        conf->n_backends += pools[i].n_backends;
    }
    for (size_t i = 0; i < n; i++)
        all[i].index = (uint32_t)i;
}

/* ---- routes */

/* Exact hosts sort before wildcards, and those before "any host"; within each, the longest is
 * first. */
static int host_rank(const char *host)
{
    return !*host ? 2 : *host == '*' ? 1 : 0;
}

static int route_cmp(const void *va, const void *vb)
{
    const struct conf_route *a = va, *b = vb;
    int ra = host_rank(a->host), rb = host_rank(b->host);
    size_t ha = strlen(a->host), hb = strlen(b->host);
    size_t pa = strlen(a->path), pb = strlen(b->path);

    if (ra != rb)
        return ra - rb;
    if (ha != hb)
        return ha > hb ? -1 : 1;
    if (!conf_check_eq(a->host, b->host))
        return strcmp(a->host, b->host);
    if (pa != pb)
        return pa > pb ? -1 : 1;
    return strcmp(a->path, b->path);
}

static void default_route(struct conf_build *b)
{
    struct conf *conf = b->conf;

    if (conf->n_pools == 0)
        return; /* already reported: pools is required */
    if (conf->n_pools > 1) {
        conf_errors_add(&b->report, 0,
                        "routes: are missing, with %zu pools; write routes = ( { path = \"/\"; "
                        "pool = \"%s\"; } );",
                        conf->n_pools, conf->pools[0].name);
        return;
    }
    struct conf_route *r = conf_arena_alloc(b->arena, sizeof *r);
    *r = (struct conf_route){
        .host = "",
        .path = "/",
        .upstream_path = "/",
        .pool_name = conf->pools[0].name,
        .timeouts = conf->timeouts,
        .body_bytes = conf->limits.body_bytes,
        .request_buffer = conf->limits.request_buffer,
        .hedge_after_ms = CONF_HEDGE_AUTO,
        .basic = {.file = "", .realm = "pasgate", .cache_ms = 300000},
        .allow = "",
    };
    conf->routes = r;
    conf->n_routes = 1;
}

static void unknown_pool(struct conf_build *b, const struct conf_route *r)
{
    const char *best = b->conf->pools[0].name;

    for (size_t i = 1; i < b->conf->n_pools; i++) {
        const char *name = b->conf->pools[i].name;
        if (conf_distance(r->pool_name, name) < conf_distance(r->pool_name, best))
            best = name;
    }
    conf_errors_add(&b->report, conf_line_of_field(b, &r->pool_name),
                    "routes.pool: no pool is called \"%s\"; did you mean \"%s\"?", r->pool_name,
                    best);
}

/* Defaults are filled in, so that the dump shows them. */
static void default_retry(struct conf_build *b, struct conf_route *r)
{
    enum conf_retry *reasons = conf_arena_alloc(b->arena, CONF_MAX_LIST * sizeof *reasons);

    r->retry_on = reasons;
    for (unsigned bit = 1; bit <= CONF_RETRY_DEFAULT; bit <<= 1)
        if (CONF_RETRY_DEFAULT & bit)
            reasons[r->n_retry_on++] = (enum conf_retry)bit;
}

static void resolve_retry(struct conf_build *b, struct conf_route *r)
{
    unsigned sum = 0;

    if (r->n_retry_on == 0)
        default_retry(b, r);

    for (size_t i = 0; i < r->n_retry_on; i++)
        sum |= (unsigned)r->retry_on[i];
    r->retry = sum & ~(unsigned)CONF_RETRY_NONE;
    if (sum & CONF_RETRY_NONE && r->n_retry_on > 1)
        conf_errors_add(&b->report, conf_line_of_field(b, r->retry_on),
                        "routes.retry_on: \"none\" among others; write it alone");
}

static void check_routes(struct conf_build *b)
{
    struct conf *conf = b->conf;

    if (conf->n_routes == 0 && !conf_line_of_field(b, &conf->routes))
        default_route(b);
    struct conf_route *r = (struct conf_route *)conf->routes;
    for (size_t i = 0; i < conf->n_routes; i++) {
        conf_check_no_null(&r[i].pool_name);
        r[i].where = conf_where(b, conf_line_of_record(b, &r[i]));
        resolve_retry(b, &r[i]);
        conf_check_methods(b, &r[i]);
        conf_check_users(b, &r[i]);
        conf_check_route_certs(b, &r[i]);
        if (!*r[i].upstream_path)
            r[i].upstream_path = r[i].path;
        if (*r[i].pool_name && conf->n_pools && !conf_pool_find(conf, r[i].pool_name))
            unknown_pool(b, &r[i]);
        for (size_t j = 0; j < i; j++) {
            unsigned line;
            if (!*r[i].path || !conf_check_eq(r[i].host, r[j].host) ||
                !conf_check_eq(r[i].path, r[j].path))
                continue;
            conf_source_where(&b->text, conf_line_of_record(b, &r[j]), &line);
            conf_errors_add(
                &b->report, conf_line_of_record(b, &r[i]),
                "routes: \"%s%s\" is also on line %u; write each host and path once", r[i].host,
                r[i].path, line);
            break;
        }
    }
}

/* Puts the routes into the order in which they are tried, and links each to its pool. */
static void order_routes(struct conf *conf)
{
    struct conf_route *r = (struct conf_route *)conf->routes;

    if (conf->n_routes > 1)
        qsort(r, conf->n_routes, sizeof *r, route_cmp);
    for (size_t i = 0; i < conf->n_routes; i++) {
        r[i].index = (uint32_t)i;
        r[i].pool = conf_pool_find(conf, r[i].pool_name);
    }
}

void conf_check(struct conf_build *b)
{
    struct conf *conf = b->conf;

    conf->workers_auto = conf->workers == 0;
    if (conf->workers_auto)
        conf->workers = count_cpus();
    conf_check_acme(b);
    conf_check_certs(b);
    check_listeners(b);
    for (size_t i = 0; i < conf->n_pools; i++)
        check_pool(b, i);
    check_routes(b);
    if (!b->report.bad)
        conf_warn_all(b);
    /* Last, because the lines of records are found by their address. */
    order_routes(conf);
    if (!b->report.bad)
        conf_spread_certs(b);
    gather_backends(b);
}
