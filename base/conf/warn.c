/* conf/warn.c - warns about settings that are allowed but probably a mistake. See conf/build.h.
 * Checks that need to look at the host are in supervisor/examine.c. */
#include <netinet/in.h>
#include <string.h>

#include "base/conf/build.h"
#include "base/conf/networks.h"
#include "base/conf/value.h"
#include "base/str.h"

enum { CLIENT_TEXT = 64 }; /* of a rule for clients: "allow " and a network */

static bool conf_warn_eq(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static unsigned conf_warn_first(unsigned a, unsigned b)
{
    return a ? a : b;
}

static bool conf_warn_orders_certificates(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_certs; i++)
        if (conf->certs[i].source == CONF_CERT_ACME)
            return true;
    return false;
}

/* ---- listeners */

static bool is_any(const struct conf_listen *l)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&l->addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&l->addr;

    if (l->addr.ss_family == AF_INET)
        return v4->sin_addr.s_addr == htonl(INADDR_ANY);
    return l->addr.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* True if a connection to b's address could also be accepted by a. */
static bool conf_warn_covers(const struct conf_listen *a, const struct conf_listen *b)
{
    return a->addr_len && b->addr_len && a->port == b->port && is_any(a) &&
           (a->dual || a->addr.ss_family == b->addr.ss_family);
}

static void warn_listeners(struct conf_build *b)
{
    const struct conf *conf = b->conf;

    for (size_t i = 0; i < conf->n_listen; i++) {
        const struct conf_listen *l = &conf->listen[i];

        if (l->serve == CONF_SERVE_STATUS && is_any(l))
            conf_warn(b, conf_line_of_record(b, l),
                      "listen: %s serves the status to everybody who can reach this host; "
                      "write an internal address, such as 127.0.0.1:%u",
                      l->address, l->port);
        for (size_t j = 0; j < conf->n_listen; j++)
            if (i != j && conf_warn_covers(&conf->listen[j], l) && (!is_any(l) || j < i))
                conf_warn(b, conf_line_of_record(b, l),
                          "listen: %s overlaps with %s, and it is not obvious which of them "
                          "gets a connection; use another address or port",
                          l->address, conf->listen[j].address);
    }
}

/* ---- lists of clients */

/* whose: the name before ".clients". */
static void warn_clients(struct conf_build *b, const char *whose,
                         const struct conf_client *const *list, size_t n)
{
    char later[CLIENT_TEXT], first[CLIENT_TEXT];
    const struct conf_client *c = *list;

    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++) {
            if (!conf_networks_hide(&c[j], &c[i]))
                continue;
            conf_warn(
                b, conf_warn_first(conf_line_of_field(b, &c[i]), conf_line_of_field(b, list)),
                "%s.clients: \"%s\" has no effect, because \"%s\" comes first; write it "
                "before that, or remove it",
                whose, conf_format_client(&c[i], later, sizeof later),
                conf_format_client(&c[j], first, sizeof first));
            break;
        }
}

/* The CA asks from addresses that nobody knows before. */
static void warn_challenges(struct conf_build *b, const struct conf_listen *l)
{
    const struct conf *conf = b->conf;

    if (l->n_clients && l->port == conf->acme.http_port && !l->tls &&
        conf_warn_orders_certificates(conf))
        conf_warn(
            b, conf_warn_first(conf_line_of_field(b, &l->clients), conf_line_of_record(b, l)),
            "listen.clients: the CA asks for http-01 challenges at port %u, from addresses "
            "that it does not tell, and is refused; write clients on the routes, or order "
            "by dns-01",
            l->port);
}

/* ---- the rest */

/* Finds a rule in OpenSSL's syntax that enables ciphers without encryption or authentication.
 */
static const char *weak_rule(const char *ciphers)
{
    static const char *const weak[] = {"NULL", "eNULL", "aNULL", "COMPLEMENTOFALL",
                                       "@SECLEVEL=0"};

    while (*ciphers) {
        size_t n = strcspn(ciphers, ": ,");

        for (size_t i = 0; i < sizeof weak / sizeof *weak; i++)
            if (n == strlen(weak[i]) && memcmp(ciphers, weak[i], n) == 0)
                return weak[i];
        if (n > 5 && *ciphers != '!' && *ciphers != '-' && memmem(ciphers, n, "-NULL-", 6))
            return "NULL";
        ciphers += n + (ciphers[n] != '\0');
    }
    return NULL;
}

static void warn_ciphers(struct conf_build *b)
{
    const char *const *field = &b->conf->tls.ciphers;
    const char *rule = weak_rule(*field);

    if (rule)
        conf_warn(
            b, conf_line_of_field(b, field),
            "tls.ciphers: \"%s\" allows connections that anybody can read or forge; remove it",
            rule);
}

static void warn_names(struct conf_build *b, const struct conf_cert *c)
{
    for (size_t i = 0; i < c->n_names; i++)
        if (c->source == CONF_CERT_ACME && strchr(c->names[i], '_'))
            conf_warn(
                b,
                conf_warn_first(conf_line_of_field(b, &c->names[i]), conf_line_of_record(b, c)),
                "certificates.names: no public CA signs for \"%s\", which has an "
                "underscore; write another name, or chain and key",
                c->names[i]);
}

static bool restarts(const struct conf_pool *pool)
{
    for (size_t i = 0; i < pool->n_backends; i++)
        if (*pool->backends[i].restart_docker || pool->backends[i].n_restart_command)
            return true;
    return false;
}

/* The command line takes names and numbers, and the name wins (supervisor/cli/service.c). */
static void warn_digits(struct conf_build *b, const struct conf_backend *backend)
{
    const char *name = backend->name;

    if (name[strspn(name, "0123456789")] == '\0')
        conf_warn(b,
                  conf_warn_first(conf_line_of_field(b, &backend->name),
                                  conf_line_of_record(b, backend)),
                  "pools.backends.name: \"%s\" looks like the number of a backend: pasgate "
                  "drain %s means the backend of this name, whatever its number is; write a "
                  "name with a letter",
                  name, name);
}

static void warn_pool(struct conf_build *b, const struct conf_pool *pool)
{
    unsigned line = conf_line_of_field(b, &pool->min_healthy);

    if ((line || restarts(pool)) && pool->n_backends && pool->min_healthy >= pool->n_backends)
        conf_warn(b, conf_warn_first(line, conf_line_of_record(b, pool)),
                  "pools.min_healthy: a pool of %zu cannot have %u other healthy backends, so "
                  "none that is up will be restarted; write at most %zu",
                  pool->n_backends, pool->min_healthy, pool->n_backends - 1);
    if (pool->tls.enabled && !pool->tls.verify)
        conf_warn(
            b, conf_line_of_field(b, &pool->tls.verify),
            "pools.tls.verify: anybody between pasgate and the backends of pool \"%s\" can "
            "read and change what is sent; write ca = with the file of their CA, and true",
            pool->name);
    for (size_t i = 0; i < pool->n_backends; i++)
        warn_digits(b, &pool->backends[i]);
}

static bool is_everybody(const struct conf_prefix *p)
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};

    return p->bits == 0 || (p->bits == 96 && memcmp(p->addr, v4, sizeof v4) == 0);
}

static void warn_exempt(struct conf_build *b)
{
    const struct conf_per_client *limits = &b->conf->limits.per_client;

    for (size_t i = 0; i < limits->n_exempt; i++) {
        const struct conf_prefix *p = &limits->exempt[i];

        if (is_everybody(p))
            conf_warn(b,
                      conf_warn_first(conf_line_of_field(b, p),
                                      conf_line_of_field(b, &limits->exempt)),
                      "limits.per_client.exempt: with %s/0 no client has limits; write \"off\" "
                      "for those that are not wanted",
                      p->bits ? "0.0.0.0" : "::");
    }
}

/* Networks of peers that are believed in a field or header. */
static void warn_believed(struct conf_build *b, const char *setting,
                          const struct conf_prefix *const *nets, size_t n, const char *where)
{
    for (size_t i = 0; i < n; i++) {
        const struct conf_prefix *p = &(*nets)[i];

        if (is_everybody(p))
            conf_warn(
                b, conf_warn_first(conf_line_of_field(b, p), conf_line_of_field(b, nets)),
                "%s: with %s/0 every client is believed, whatever address it claims in %s; "
                "write only the networks of the load balancers",
                setting, p->bits ? "0.0.0.0" : "::", where);
    }
}

static void warn_trusted(struct conf_build *b)
{
    const struct conf *conf = b->conf;

    warn_believed(b, "trusted", &conf->trusted, conf->n_trusted, "X-Forwarded-For");
    for (size_t i = 0; i < conf->n_listen; i++)
        warn_believed(b, "listen.proxy_protocol", &conf->listen[i].proxy_protocol,
                      conf->listen[i].n_proxy_protocol, "its PROXY header");
}

/* Challenges are answered before any route is looked for (worker/proxy/local_reply.c). */
static void warn_route(struct conf_build *b, const struct conf_route *r)
{
    static const char challenge[] = "/.well-known/acme-challenge";
    size_t n = sizeof challenge - 1;

    if (strncmp(r->path, challenge, n) == 0 && (r->path[n] == '/' || r->path[n] == '\0') &&
        !r->acme_passthrough && conf_warn_orders_certificates(b->conf))
        conf_warn(b,
                  conf_warn_first(conf_line_of_field(b, &r->path), conf_line_of_record(b, r)),
                  "routes.path: \"%s\" gets no requests, because ACME challenges are answered "
                  "here; write acme_passthrough = true to pass on those that are not ours",
                  r->path);
}

void conf_warn_all(struct conf_build *b)
{
    const struct conf *conf = b->conf;

    if (conf_warn_eq(conf->user, "root"))
        conf_warn(
            b, conf_line_of_field(b, &conf->user),
            "user: workers, which talk to the network, run as root; write a user of their own");
    warn_ciphers(b);
    warn_listeners(b);
    warn_trusted(b);
    for (size_t i = 0; i < conf->n_listen; i++) {
        warn_clients(b, "listen", &conf->listen[i].clients, conf->listen[i].n_clients);
        warn_challenges(b, &conf->listen[i]);
    }
    warn_exempt(b);
    for (size_t i = 0; i < conf->n_certs; i++)
        warn_names(b, &conf->certs[i]);
    for (size_t i = 0; i < conf->n_pools; i++)
        warn_pool(b, &conf->pools[i]);
    for (size_t i = 0; i < conf->n_routes; i++) {
        warn_route(b, &conf->routes[i]);
        warn_clients(b, "routes", &conf->routes[i].clients, conf->routes[i].n_clients);
    }
}
