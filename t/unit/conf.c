/* The configuration: expansion, defaults, what is resolved, what is refused, and that
 * the dump of a tree reads back to the same tree. Whole files with several errors, and the
 * commands around them, are in t/10-config.t. */
#include "base/conf/conf.h"

#include <arpa/inet.h>
#include <libconfig.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/table.h"
#include "base/conf/value.h"
#include "t/unit/conf_text.h"

static char *dump(const struct conf *conf)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);

    conf_dump(conf, out);
    fclose(out);
    return text;
}

/* Its bytes give the same tree in another process; half of them give none. */
static void is_kept(const struct conf *conf, const char *dumped, const char *what)
{
    struct conf_errors errs = {0};
    size_t n;
    const void *text = conf_text(conf, &n);
    struct conf *again = conf_load_text(text, n, &errs);
    char *same = again ? dump(again) : NULL;

    is_str(same ? same : "", dumped, "%s: its bytes read back to the same", what);
    free(same);
    conf_free(again);
    for (size_t part = 0; part < n; part += n / 8 + 1) {
        again = conf_load_text(text, part, &errs);
        ok(!again, "%s: not a part of them", what);
        conf_free(again);
    }
    ok(errs.n > 0, "%s: which is said", what);
    conf_errors_release(&errs);
}

static void round_trip(const char *text, const char *what)
{
    struct conf *one = good(text);
    char *first = dump(one);
    struct conf *two = good(first);
    char *second = dump(two);

    is_str(second, first, "%s: the dump reads back to the same", what);
    is_kept(one, first, what);
    is_int(two->n_backends, one->n_backends, "%s: with as many backends", what);
    is_int(two->n_routes, one->n_routes, "%s: and routes", what);
    free(first);
    free(second);
    conf_free(one);
    conf_free(two);
}

/* Every row of the table that is supported stands in the group; counts those that do not. */
static int missing(config_setting_t *group, const struct conf_section *section, bool in_route)
{
    int n = 0;

    for (const struct conf_setting *row = section->rows; row->name; row++) {
        config_setting_t *s = config_setting_get_member(group, row->name);

        if (row->flags & SOON || (in_route && !(row->flags & IN_ROUTE)))
            continue;
        if (!s) {
            diag("not in the dump: %s", row->name);
            n++;
        } else if (row->section) {
            n += missing(row->flags & LIST ? config_setting_get_elem(s, 0) : s, row->section,
                         row->flags & IN_ROUTE);
        }
    }
    return n;
}

static void test_dump(void)
{
    struct conf *conf = good(FOUR);
    char *text = dump(conf);
    config_t cfg;

    config_init(&cfg);
    ok(config_read_string(&cfg, text) == CONFIG_TRUE, "the dump has the syntax of a file");
    is_int(missing(config_root_setting(&cfg), &conf_top, false), 0, "and every setting");
    config_destroy(&cfg);
    free(text);
    conf_free(conf);
}

static void test_cert_names(void)
{
    struct conf *conf =
        good("certificates = ( { names = [ \"2001:DB8:0::1\", \"192.0.2.7\", \"A.test\" ]; "
             "self_signed = true; } );\n" POOL);

    is_str(conf->certs[0].names[0], "2001:db8::1", "an address, in the spelling of RFC 5952");
    is_str(conf->certs[0].names[1], "192.0.2.7", "one of IPv4");
    is_str(conf->certs[0].names[2], "a.test", "a name in small letters");
    is_str(conf->certs[0].name, "2001-db8--1", "and what it is called");
    conf_free(conf);
    refused(
        "certificates = ( { names = [ \"::1\", \"0:0::1\" ]; self_signed = true; } );\n" POOL,
        "x.conf:1: certificates.names: \"::1\" twice; write each name once");
    refused("certificates = ( { names = [ \"[::1]\" ]; self_signed = true; } );\n" POOL,
            "x.conf:1: certificates.names: \"[::1]\" is not a host name or an address; write "
            "\"www.example.com\", \"*.example.com\", \"192.0.2.7\" or \"2001:db8::7\", a name "
            "that is not ASCII in its xn-- form");
}

#define DUAL(types)                                                                     \
    "certificates = ( { names = [ \"a.test\", \"b.test\" ]; key_type = " types "; },\n" \
    "{ names = \"c.test\"; key_type = \"rsa4096\"; } );\n" POOL

static void test_dual(void)
{
    struct conf *conf = good(DUAL("[ \"p384\", \"rsa2048\" ]"));
    const struct conf_cert *c = conf->certs;

    is_int(conf->n_certs, 3, "two types of key are two certificates");
    is_str(c[2].name, "a.test-rsa", "the second comes after all, and is called by its key");
    ok(c[0].dual == &c[2] && c[2].dual == &c[0] && !c[1].dual, "they know each other");
    ok(c[2].index == 2 && c[2].n_names == 2 && *c[2].key_type == CONF_KEY_RSA2048 &&
           c[0].n_key_type == 1 && *c[0].key_type == CONF_KEY_P384,
       "each with its own key");
    ok(*c[1].key_type == CONF_KEY_RSA4096, "one alone needs no list");
    conf_free(conf);
    round_trip(DUAL("[ \"rsa2048\", \"p256\" ]"), "two types of key");
    refused(DUAL("[ \"p256\", \"p384\" ]"),
            "x.conf:1: certificates.key_type: both are of the same kind; write one of p256 and "
            "p384, and one of rsa2048 and rsa4096");
    refused(
        "certificates = ( { names = \"a.test\"; self_signed = true; key_type = [ \"p256\", "
        "\"rsa2048\" ]; } );\n" POOL,
        "x.conf:1: certificates.key_type: two key types work only for a certificate that is "
        "ordered; write two certificates with the same names, one for each key type");
    refused("certificates = ( { names = \"a.test\"; key_type = [ \"p256\", \"rsa2048\" ]; },\n"
            "{ name = \"a.test-rsa\"; names = \"c.test\"; } );\n" POOL,
            "x.conf:1: certificates.key_type: the second one would be called \"a.test-rsa\", "
            "which is taken; rename the other certificate");
}

static void test_dual_written(void)
{
    struct conf *conf =
        good("certificates = ( { names = [ \"a.test\", \"b.test\" ]; },\n"
             "{ names = [ \"b.test\", \"a.test\" ]; key_type = \"rsa2048\"; } );\n" POOL);

    ok(conf->certs[0].dual == &conf->certs[1] && conf->certs[1].dual == &conf->certs[0],
       "the same names in any order");
    is_str(conf->certs[0].name, "a.test", "the first by its name");
    is_str(conf->certs[1].name, "b.test", "the second by its own");
    conf_free(conf);
    refused("certificates = ( { names = \"a.test\"; },\n{ names = \"a.test\"; name = \"x\"; } "
            ");\n" POOL,
            "x.conf:2: certificates.names: \"a.test\" twice; write each name once");
    refused("certificates = ( { names = \"a.test\"; },\n"
            "{ names = [ \"b.test\", \"a.test\" ]; key_type = \"rsa2048\"; } );\n" POOL,
            "x.conf:2: certificates.names: \"a.test\" twice; write each name once");
    refused("certificates = ( { names = \"a.test\"; }, { names = \"a.test\"; key_type = "
            "\"rsa2048\"; },\n{ names = \"a.test\"; name = \"x\"; key_type = \"rsa4096\"; } "
            ");\n" POOL,
            "x.conf:2: certificates.names: \"a.test\" twice; write each name once");
}

static void test_names(void)
{
    ok(conf_is_host("a", false) && conf_is_host("my_app-1.example.com", false), "host names");
    ok(conf_is_host("*.example.com", true) && !conf_is_host("*.example.com", false),
       "a wildcard where one is allowed");
    ok(!conf_is_host("*.com", true) && !conf_is_host("a.*.com", true), "and only that");
    ok(!conf_is_host("a.", false) && !conf_is_host("-a", false) && !conf_is_host("a-", false) &&
           !conf_is_host("b\xc3\xbc"
                         "cher.de",
                         false) &&
           !conf_is_host("", false),
       "no host names");
    ok(conf_is_path("/", false) && conf_is_path("/a/b.c", false), "paths");
    ok(!conf_is_path("a", false) && !conf_is_path("/a/", false) && !conf_is_path("//", false) &&
           !conf_is_path("/a//b", false) && !conf_is_path("/a/../b", false) &&
           !conf_is_path("/a/.", false) && !conf_is_path("/a?b", false) &&
           !conf_is_path("/a b", false) && !conf_is_path("/a;b", false) &&
           !conf_is_path("/a\\b", false),
       "no paths of routes");
    ok(conf_is_path("/a/?b=/../c", true), "a check may have a query");
    is_int(conf_distance("wrokers", "workers"), 1, "swapped neighbours are one edit");
    is_int(conf_distance("", "abc"), 3, "inserts");
    is_int(conf_distance("kitten", "sitting"), 3, "the usual one");
}

static void test_defaults(void)
{
    struct conf *conf = good(FOUR);
    const struct conf_pool *pool = conf->pools;

    ok(conf->workers >= 1 && conf->workers_auto, "workers: one per CPU");
    is_str(conf->user, "", "user is left to the supervisor");
    is_int(conf->n_listen, 2, "two listeners");
    ok(conf->listen[0].tls && conf->listen[0].port == 443, "*:443 with TLS");
    ok(conf->listen[1].redirect == CONF_REDIRECT_HTTPS && conf->listen[1].port == 80 &&
           conf->listen[1].redirect_port == 443,
       "*:80 redirects there");
    is_int(conf->n_certs, 1, "one certificate");
    is_str(conf->certs[0].name, "shop.example.com", "called by its name");
    is_int(conf->certs[0].source, CONF_CERT_ACME, "to be ordered");
    is_int(conf->tls.hsts_ms, 730LL * 86400000, "HSTS for two years");
    is_int(conf->timeouts.header_ms, 10000, "header within 10 s");
    ok(conf->timeouts.upstream_idle_ms < 20000,
       "unused backend connections end before Tomcat's");
    is_int(conf->limits.header_bytes, 65536, "64 KiB of header");
    is_int(conf->limits.field_bytes, 16384, "16 KiB of them in a field");
    is_int(conf->limits.target_bytes, 8192, "8 KiB of target");
    is_int(conf->listen[0].targets, CONF_TARGETS_ENCODE, "raw bytes in it are encoded");
    ok(conf->limits.body_bytes == CONF_UNLIMITED, "any body");
    is_int(pool->balance, CONF_BALANCE_LEASTCONN, "least in flight");
    is_int(pool->check.type, CONF_CHECK_HTTP, "checked by HTTP");
    is_str(pool->check.path, "/", "at /");
    ok(pool->check.n_status == 1 && pool->check.status[0].high == 499, "any answer but 5xx");
    is_int(pool->queue.size, 256, "queue of 256");
    is_int(pool->retries, 2, "two more attempts");
    is_int(pool->n_backends, 2, "two backends");
    ok(pool->backends == conf->backends && conf->n_backends == 2,
       "which are those of the file");
    is_str(conf->backends[1].name, "pas2", "named by host");
    is_int(conf->backends[1].port, 8810, "with their port");
    is_int(conf->backends[1].max_in_flight, 300, "the cap is the pool's");
    ok(conf_backend_find(conf, "pas2") == &conf->backends[1] && !conf_backend_find(conf, "x"),
       "and found by name");
    ok(conf->n_routes == 1 && conf->routes[0].pool == pool, "all goes to the one pool");
    is_int(conf->routes[0].request_buffer, conf->limits.request_buffer,
           "with its bodies collected");
    is_int(conf->routes[0].timeouts.first_byte_ms, 60000, "with the global timeouts");
    is_int(conf->routes[0].retry, CONF_RETRY_DEFAULT, "tried again for no answer at all");
    ok(conf->routes[0].hedge_after_ms == CONF_HEDGE_AUTO,
       "and hedged where its backend is silent");
    is_int(conf->routes[0].encoded_slash, CONF_SLASH_REJECT, "no encoded slash");
    ok(conf->routes[0].n_methods == 0 && !*conf->routes[0].allow, "all methods");
    conf_free(conf);
}

static void test_resolved(void)
{
    struct conf *conf =
        good("timeouts = { first_byte = \"30s\"; };\n"
             "listen = ( { address = \"127.0.0.1:8443\"; tls = true; },\n"
             "           { address = \"127.0.0.1:8080\"; redirect = \"https\"; },\n"
             "           { address = \"127.0.0.1:8081\"; redirect = \"https\"; redirect_port = "
             "443; },\n"
             "           { address = \"127.0.0.1:9180\"; serve = \"status\"; } );\n"
             "certificates = ( { names = [ \"*.Example.com\", \"example.com\" ]; self_signed = "
             "true; } );\n"
             "pools = ( { name = \"a\"; max_in_flight = 7; check = { type = \"pasoe\"; };\n"
             "            backends = ( { address = \"h:1\"; name = \"a1\"; max_in_flight = "
             "\"unlimited\"; },\n"
             "                         { address = \"[fd00::7]:1\"; state = \"drain\"; weight "
             "= 3; } ); },\n"
             "          { name = \"b\"; check = { path = \"/health\"; port = 8899; };\n"
             "            backends = \"h:2\"; } );\n"
             "routes = ( { path = \"/\"; pool = \"b\"; },\n"
             "           { path = \"/pas\"; pool = \"a\"; upstream_path = \"/web\"; retry_on = "
             "[ \"503\", \"timeout\" ]; hedge_after = \"2s\"; },\n"
             "           { path = \"/pas/long\"; pool = \"a\"; timeouts = { first_byte = "
             "\"off\"; }; body = \"1k\"; },\n"
             "           { host = \"*.example.com\"; pool = \"b\"; },\n"
             "           { host = \"WWW.example.com\"; pool = \"b\"; class = \"apsv\"; } );\n");

    is_int(conf->listen[1].redirect_port, 8443, "redirect goes to the first TLS listener");
    is_int(conf->listen[2].redirect_port, 443, "or where it is told to");
    is_int(conf->listen[3].serve, CONF_SERVE_STATUS, "status pages");
    is_str(conf->certs[0].name, "wildcard.example.com", "a wildcard's name can be a file's");
    is_str(conf->certs[0].names[0], "*.example.com", "names are in lower case");
    is_int(conf->certs[0].source, CONF_CERT_SELF, "self-signed");
    is_int(conf->n_backends, 3, "backends of all pools");
    is_str(conf->backends[1].name, "fd00--7", "a name made of an IPv6 address");
    is_int(conf->backends[0].max_in_flight, 0, "no cap");
    is_int(conf->backends[1].max_in_flight, 7, "the pool's cap");
    is_int(conf->backends[1].state, CONF_STATE_DRAIN, "a state");
    is_int(conf->backends[2].pool, 1, "its pool");
    is_int(conf->backends[2].index, 2, "its index");
    ok(conf->pools[1].backends == &conf->backends[2], "the pool's run");
    is_str(conf->pools[0].check.path, "/rest/_oepingService/_oeping", "path of the ping");
    is_int(conf->pools[0].check.status[0].high, 200, "which says 200");
    is_int(conf->pools[1].check.status[0].high, 399, "a path of one's own: 200-399");
    is_str(conf->routes[0].host, "www.example.com", "an exact host first");
    is_int(conf->routes[0].class, CONF_CLASS_APSV, "with its class");
    is_str(conf->routes[1].host, "*.example.com", "then the wildcard");
    is_str(conf->routes[2].path, "/pas/long", "then the longest path");
    is_int(conf->routes[2].timeouts.first_byte_ms, 0, "which may wait for ever");
    is_int(conf->routes[2].timeouts.connect_ms, 3000, "with the rest as everywhere");
    is_int(conf->routes[2].body_bytes, 1024, "and a limit of its own");
    is_int(conf->routes[3].timeouts.first_byte_ms, 30000, "others have the global timeout");
    is_str(conf->routes[3].upstream_path, "/web", "a path map");
    is_int(conf->routes[3].retry, CONF_RETRY_503 | CONF_RETRY_TIMEOUT, "its own retry_on");
    is_int(conf->routes[3].hedge_after_ms, 2000, "and when to hedge");
    ok(conf->routes[2].hedge_after_ms == CONF_HEDGE_AUTO,
       "by default, when the backend is silent");
    is_str(conf->routes[2].upstream_path, "/pas/long", "or none");
    is_str(conf->routes[4].path, "/", "and all the rest");
    conf_free(conf);
}

static void test_expand(void)
{
    setenv("PASGATE_T_NAME", "a.example.com", 1);
    setenv("PASGATE_T_EMPTY", "", 1);
    unsetenv("PASGATE_T_NONE");
    struct conf *conf =
        good("certificates = ( { names = [ \"${PASGATE_T_NAME}\","
             " \"b.${PASGATE_T_NONE:-example.org}\","
             " \"c.${PASGATE_T_EMPTY:-example.net}\" ]; } );\n" POOL
             "workers = \"${PASGATE_T_NONE:-3}\"; watch = \"${PASGATE_T_NONE:-true}\";\n"
             "acme = { email = \"${PASGATE_T_EMPTY}\"; };\n");

    is_str(conf->certs[0].names[0], "a.example.com", "a variable");
    is_str(conf->certs[0].names[1], "b.example.org", "not set: the default");
    is_str(conf->certs[0].names[2], "c.example.net", "empty: the default");
    is_int(conf->workers, 3, "a number by a variable");
    ok(conf->watch, "a truth by a variable");
    is_str(conf->acme.email, "", "empty is not given");
    conf_free(conf);

    conf = good(PLAIN "pools = ( { name = \"p\"; check = { body = \"$${x} $y $\"; };"
                      " backends = \"h:1\"; } );");
    is_str(conf->pools[0].check.body, "${x} $y $", "two dollars are one before a brace");
    conf_free(conf);

    refused(PLAIN "pools = ( { name = \"p\"; backends = \"${PASGATE_T_NONE}:1\"; } );",
            "x.conf:2: pools.backends.address: environment variable PASGATE_T_NONE is not "
            "set; set it, or write ${PASGATE_T_NONE:-text} to give a default");
    refused(
        PLAIN POOL "user = \"${1x}\";",
        "x.conf:3: user: \"${1x}\" is not a variable; write ${NAME}, ${NAME:-text}, or $${ for "
        "the two characters");
}

static void test_refused(void)
{
    refused(PLAIN, "x.conf: pools: is missing; write ( { ... }, { ... } )");
    refused(FOUR "workers = ;",
            "x.conf:4: syntax error; write name = value; and close what the "
            "line before opened");
    refused(FOUR "workers = 1;\n\nworkers = 2;",
            "x.conf:6: duplicate setting name; write each name only once in a group");
    refused(FOUR "wrokers = 1;",
            "x.conf:4: unknown setting \"wrokers\"; did you mean \"workers\"?");
    refused(PLAIN "pools = ( { name = \"pas\"; backends = [ \"pas1:8810\" ];\n"
                  "hedge_after = \"1s\"; } );",
            "x.conf:3: pools: unknown setting \"hedge_after\"; it belongs in routes");
    refused(FOUR "first_byte = 1;", "x.conf:4: unknown setting \"first_byte\"; it belongs in "
                                    "timeouts or routes.timeouts");
    refused(FOUR "log = { workers = 1; };",
            "x.conf:4: log: unknown setting \"workers\"; it belongs in the top level");
    refused(FOUR "pools = /* one\n two", "x.conf:4: a comment is not closed; write /* ... */");
    refused(FOUR "user = \"one\n two", "x.conf:4: a string is not closed; write \"...\"");
    refused(FOUR "workers = 99999999999;", "x.conf:4: workers: 99999999999 is out of range; "
                                           "write 1 to 32, or \"auto\"");
    refused(FOUR "workers = 9999999999999999999;",
            "x.conf:4: 9999999999999999999 is too large; write at most 18 "
            "digits");
    refused(FOUR "workers = 0x100000002;",
            "x.conf:4: workers: 4294967298 is out of range; write 1 to 32, or \"auto\"");
    refused(FOUR "workers = 4294967298L;",
            "x.conf:4: workers: 4294967298 is out of range; write 1 to 32, or \"auto\"");
    refused(FOUR "workers = -4294967294;", "x.conf:4: workers: \"-4294967294\" is not a number "
                                           "of workers; write digits, or \"auto\"");
    refused(FOUR "x = ((((((((((((((((((1))))))))))))))))));",
            "x.conf:4: brackets nested more than 16 deep");
    refused(FOUR "etcd = \"http://a\";", "x.conf:4: etcd: not supported yet; remove it");
    refused(FOUR "listen = ( { address = \"*:443\"; tls = true; http2 = 2; } );",
            "x.conf:4: listen.http2: is a number, not true or false; write true or false, "
            "without quotes");
    refused(POOL, "x.conf: listen: *:443 has tls, but there is no certificate; write "
                  "certificates = ( { names = [ \"www.example.com\" ]; } );");
    refused("@include \"/dev/null\"\n" FOUR,
            "x.conf:1: cannot read /dev/null: not a regular file");
    refused(PLAIN "pools = ( { name = \"p\"; backends = ( \"h:1\", \"H:1\" ); } );",
            "x.conf:2: pools.backends: h:1 twice in pool \"p\"; write it once, with a larger "
            "weight if it is to get more requests");
    refused(PLAIN "pools = ( { name = \"p\"; backends = \"h:1\"; },\n"
                  "{ name = \"q\"; backends = \"h:2\"; } );\nroutes = { pool = \"p\"; };",
            "x.conf:3: pools.backends.name: \"h\" twice; give each backend of the file its own "
            "name");
    refused(PLAIN POOL "acme = { email = \"a\\x01@b\"; };",
            "x.conf:3: acme.email: contains a control character; write plain text");

    struct conf_errors errs = {0};
    ok(!conf_parse("a\0b", 3, "x.conf", &errs) && errs.n == 1, "a NUL byte is refused");
    is_str(errs.v[0], "x.conf: x.conf contains a NUL byte; write plain text", "and said so");
    conf_errors_release(&errs);
    ok(!conf_load("/nonexistent/x.conf", &errs) && errs.n == 1, "a missing file is refused");
    is_str(errs.v[0], "cannot read /nonexistent/x.conf: No such file or directory", "by name");
    conf_errors_release(&errs);
}

static void spew(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    if (!out || fputs(text, out) < 0 || fclose(out) != 0)
        exit(done());
}

/* The files of a configuration, as they were when they were read. */
static void test_files(void)
{
    char dir[] = "/tmp/unit-conf.XXXXXX", path[3][64];
    struct conf_errors errs = {0};
    struct stat now;

    if (!mkdtemp(dir))
        exit(done());
    for (int i = 0; i < 3; i++)
        snprintf(path[i], sizeof path[i], "%s/%c.conf", dir, "abc"[i]);
    spew(path[0], PLAIN "@include \"b.conf\"\n@include \"c.conf\"\n@include \"b.conf\"\n");
    spew(path[1], "");
    spew(path[2], POOL);
    struct conf *conf = conf_load(path[0], &errs);
    if (ok(conf && conf->n_files == 3, "a file and two that it includes, one of them twice")) {
        for (int i = 0; i < 3; i++)
            ok(strcmp(conf->files[i].path, path[i]) == 0 && stat(path[i], &now) == 0 &&
                   conf->files[i].seen.st_ino == now.st_ino &&
                   conf->files[i].seen.st_size == now.st_size,
               "%s as it is", path[i]);
    }
    conf_free(conf);
    conf_errors_release(&errs);

    unlink(path[1]);
    conf = conf_load(path[0], &errs);
    if (ok(!conf && errs.n_files == 2, "one is missing: those read so far, and it")) {
        is_str(errs.files[0].path, path[0], "the first");
        is_str(errs.files[1].path, path[1], "the missing one");
        is_int(errs.files[1].seen.st_ino, 0, "of which nothing is known");
    }
    conf_errors_release(&errs);
    mkdir(path[1], 0700);
    conf = conf_load(path[0], &errs);
    ok(!conf && errs.n_files == 2 && errs.files[1].seen.st_ino != 0,
       "a folder in its place is known as what it is");
    conf_errors_release(&errs);
    ok(errs.n_files == 0 && !errs.files, "released");
    rmdir(path[1]);
    unlink(path[0]);
    unlink(path[2]);
    rmdir(dir);
}

/* Whose fault it is: the file's, or the host's. */
static void test_lack(void)
{
    struct rlimit few, all;
    struct conf_errors errs = {0};
    char file[] = "/tmp/pasgate-conf-XXXXXX";

    close(mkstemp(file));
    getrlimit(RLIMIT_NOFILE, &all);
    few = all;
    few.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &few);
    ok(!conf_load(file, &errs) && errs.n == 1 && errs.host, "no descriptor: the host's");
    setrlimit(RLIMIT_NOFILE, &all);
    conf_errors_release(&errs);
    ok(!errs.host && !conf_load(file, &errs) && errs.n > 0 && !errs.host,
       "an empty file: the file's");
    conf_errors_release(&errs);
    unlink(file);
    ok(!conf_load(file, &errs) && !errs.host, "no file: nor is that the host's");
    conf_errors_release(&errs);
}

int main(void)
{
    test_names();
    test_cert_names();
    test_dual();
    test_dual_written();
    test_defaults();
    test_resolved();
    test_expand();
    test_refused();
    test_files();
    test_lack();
    test_dump();
    round_trip(FOUR, "four settings");
    round_trip(PLAIN POOL
               "stop_timeout = 1.5;\r\nlog = { access = \"/a/b.log\"; };"
               "tls = { hsts = \"off\"; }; trusted = \"::1\"; limits = { body = 5; };"
               "routes = ( { path = \"/a\"; pool = \"pas\"; body = \"3m\"; },"
               "{ host = \"a.b\"; pool = \"pas\"; timeouts = { tunnel = \"off\"; }; } );",
               "many settings");
    return done();
}
