/*
 * What a connection or request costs does not depend on how many names, routes or challenges
 * there are: a thousand may cost a few times what one costs, which a look at each would exceed
 * by far. A ratio of two measurements, each the fastest of some, so that neither a busy machine
 * nor valgrind decides.
 */
#include <stdlib.h>
#include <time.h>

#include "base/conf/conf.h"
#include "shm/challenges.h"
#include "t/unit/tap.h"
#include "worker/http/route.h"
#include "worker/tls/tls.h"

enum {
    MANY = 1024,
    BOUND = 64, /* times; a look at each is some 500, halving 5 */
    ROUNDS = 400,
    TRIES = 7, /* the fastest counts */
    NAME = 40,
};

static char name[MANY][NAME], wildcard[MANY][NAME];
static const char *names[MANY];
static struct conf_cert certs[MANY];
static struct conf conf = {.tls = {.min_version = CONF_TLS_1_2,
                                   .ciphers = "ECDHE+AESGCM",
                                   .ciphersuites = "TLS_AES_128_GCM_SHA256",
                                   .groups = "auto"},
                           .certs = certs};

static void make_names(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(name[i], NAME, "instance-%04u.many.test", i);
        snprintf(wildcard[i], NAME, "*.instance-%04u.many.test", i);
        names[i] = name[i];
        certs[i] =
            (struct conf_cert){.index = i, .name = name[i], .names = &names[i], .n_names = 1};
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t fastest(void (*run)(void *), void *with)
{
    uint64_t least = UINT64_MAX;

    for (int t = 0; t < TRIES; t++) {
        uint64_t start = now_ns();

        for (int i = 0; i < ROUNDS; i++)
            run(with);
        uint64_t took = now_ns() - start;
        least = took < least ? took : least;
    }
    return least ? least : 1;
}

static void compare(const char *what, void (*run)(void *), void *one, void *many)
{
    uint64_t a = fastest(run, one), b = fastest(run, many);

    ok(b < BOUND * a, "%s: %d cost %.1f times what one costs", what, MANY,
       (double)b / (double)a);
}

/* ---- names of certificates */

static void choose(void *engine)
{
    for (uint32_t i = 0; i < MANY; i += 64)
        tls_engine_choose(engine, name[i], strlen(name[i]));
    tls_engine_choose(engine, "nobody.test", 11);
}

static struct tls_engine *engine_of(uint32_t n)
{
    char error[TLS_ERROR_SIZE];

    conf.n_certs = n;
    return tls_engine_new(&conf, error, sizeof error);
}

static void test_certs(void)
{
    struct tls_engine *one = engine_of(1), *many = engine_of(MANY);
    bool right = true;

    for (uint32_t i = 0; i < MANY; i++)
        right &= tls_engine_choose(many, name[i], strlen(name[i])) == i;
    ok(right, "each of %d names gets its certificate", MANY);
    compare("a certificate by its name", choose, one, many);
    tls_engine_free(one);
    tls_engine_free(many);
}

/* ---- routes */

static void route(void *table)
{
    struct route_match match;

    for (uint32_t i = 0; i < MANY; i += 64)
        route_lookup(table, str_from(name[i]), STR("/pas/rest"), &match);
    route_lookup(table, STR("a.b.c.instance-1023.many.test"), STR("/pas/rest"), &match);
}

static struct route_table *routes_of(char from[][NAME], uint32_t n)
{
    static struct route_rule rules[MANY];

    for (uint32_t i = 0; i < n; i++)
        rules[i] =
            (struct route_rule){.host = str_from(from[i]), .path = STR("/pas"), .target = i};
    return route_table_new(rules, n);
}

static void test_routes(void)
{
    struct route_table *one = routes_of(name, 1), *many = routes_of(name, MANY);
    struct route_table *wild_one = routes_of(wildcard, 1), *wild = routes_of(wildcard, MANY);
    struct route_match match;
    bool right = true, below = true;
    char host[NAME + 2];

    for (uint32_t i = 0; i < MANY; i++) {
        right &=
            route_lookup(many, str_from(name[i]), STR("/pas"), &match) && match.target == i;
        snprintf(host, sizeof host, "x.%s", name[i]);
        below &= route_lookup(wild, str_from(host), STR("/pas"), &match) && match.target == i &&
                 !route_lookup(wild, str_from(name[i]), STR("/pas"), &match);
    }
    ok(right, "each of %d hosts gets its route", MANY);
    ok(below, "and what is below each of %d wildcards", MANY);
    compare("a route by its host", route, one, many);
    compare("a route by its wildcard", route, wild_one, wild);
    route_table_free(one);
    route_table_free(many);
    route_table_free(wild_one);
    route_table_free(wild);
}

/* ---- challenges */

static void ask(void *table)
{
    struct challenge_row row;

    challenge_find(table, CHALLENGE_HTTP_01, STR("no-such-token"), 1, &row);
}

static void read_all(void *table)
{
    static struct challenge_row row;

    for (uint32_t i = 0; i < MANY; i++)
        challenge_read(&((struct table *)table)->challenge[i], &row);
}

static void test_challenges(struct table *table)
{
    struct challenge_row row;
    bool right = true;

    table->challenge_rows = TABLE_CHALLENGES;
    for (uint32_t i = 0; i < TABLE_CHALLENGES; i++) {
        row = (struct challenge_row){.kind = CHALLENGE_HTTP_01, .expires_ms = 2};
        snprintf(row.token, sizeof row.token, "token-%u", i);
        challenge_put(table, i, &row);
    }
    for (uint32_t i = 0; i < TABLE_CHALLENGES; i++) {
        char token[NAME];

        snprintf(token, sizeof token, "token-%u", i);
        right &= challenge_find(table, CHALLENGE_HTTP_01, str_from(token), 1, &row) &&
                 strcmp(row.token, token) == 0;
    }
    ok(right, "each of %d challenges is found", TABLE_CHALLENGES);
    uint64_t find = fastest(ask, table), all = fastest(read_all, table);
    ok(find * 8 < all, "one that is not there costs a look at none: %.1f us, not %.1f",
       (double)find / ROUNDS / 1000, (double)all / ROUNDS / 1000);
}

/* What a compromised acmed writes has no end of its own. */
static void test_ends(struct table *table)
{
    struct challenge_row *raw = &table->challenge[3].row, row;
    size_t n = sizeof raw->token - 1;

    memset(raw->token, 't', sizeof raw->token);
    memset(raw->key_authorization, 'k', sizeof raw->key_authorization);
    memset(raw->name, 'n', sizeof raw->name);
    ok(challenge_read(&table->challenge[3], &row) &&
           strnlen(row.token, sizeof row.token) == n &&
           strnlen(row.key_authorization, sizeof row.key_authorization) ==
               sizeof row.key_authorization - 1 &&
           strnlen(row.name, sizeof row.name) == sizeof row.name - 1,
       "token, key authorization and name end where their arrays end");
}

int main(void)
{
    struct table *table = aligned_alloc(TABLE_PAGE, sizeof *table);

    if (!table)
        return 1;
    memset(table, 0, offsetof(struct table, worker));
    make_names();
    test_certs();
    test_routes();
    test_challenges(table);
    test_ends(table);
    free(table);
    return done();
}
