/* worker/status/page.h over a table made up here. With STATUS_PAGE_SAMPLE=FILE in the
 * environment the page for people is kept there, to be looked at in a browser. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "t/unit/tap.h"
#include "worker/status/page.h"

static struct table *table;
static char out[STATUS_PAGE_MAX + 1];
static const char *type;
static int status;

static const char *get(const char *path)
{
    const char *query = strchr(path, '?');
    char name[64];
    ssize_t n;

    snprintf(name, sizeof name, "%.*s", (int)(query ? query - path : 63), path);
    n = status_page_render(table, name, str_from(query ? query + 1 : ""), out, STATUS_PAGE_MAX,
                           &type, &status);

    out[n > 0 ? n : 0] = '\0';
    return out;
}

static void set_header(void)
{
    struct header_row h = {.config_generation = 7,
                           .pid = 4711,
                           .started_ms =
                               clock_mono_ms() > 9000000 ? clock_mono_ms() - 9000000 : 1,
                           .started_wall_ms = clock_wall_ms() - 9000000,
                           .version = "0.1",
                           .config_file = "/etc/pasgate/pasgate.conf"};

    header_publish(&table->header, &h);
}

static void set_child(int i, enum kind kind, enum child_state state, uint32_t restarts)
{
    struct child_row c = {.kind = (uint8_t)kind,
                          .state = (uint8_t)state,
                          .slot = (uint16_t)i,
                          .pid = 5000 + i,
                          .generation = 7,
                          .restarts = restarts,
                          .incarnation = 1,
                          .started_wall_ms = clock_wall_ms() - 8000000,
                          .last_exit = -1};

    child_publish(&table->child[i], &c);
    if (kind == KIND_WORKER)
        worker_row_reset(&table->worker[i], 1, TABLE_BACKENDS);
}

static void set_backend(int i, const char *name, const char *pool, enum health_state state,
                        const char *reason)
{
    struct backend_row b = {.used = 1,
                            .configured = 1,
                            .port = 8810,
                            .weight = 100,
                            .max_in_flight = i % 2 ? 0 : 200,
                            .identity = 99 + (uint64_t)i};
    struct health_row h = {.state = (uint8_t)state,
                           .identity = b.identity,
                           .has_address = 1,
                           .since_ms = clock_mono_ms() > 600000 ? clock_mono_ms() - 600000 : 1,
                           .since_wall_ms = clock_wall_ms() - 600000,
                           .probe_wall_ms = clock_wall_ms(),
                           .probe_us = 2300,
                           .probe_ok = state == HEALTH_UP,
                           .probes = 100,
                           .failures = 3};
    struct sockaddr_in *in = (struct sockaddr_in *)&h.address;

    in->sin_family = AF_INET;
    inet_pton(AF_INET, "192.0.2.9", &in->sin_addr);
    snprintf(b.name, sizeof b.name, "%s", name);
    snprintf(b.pool, sizeof b.pool, "%s", pool);
    snprintf(b.host, sizeof b.host, "%s.internal", name);
    snprintf(h.reason, sizeof h.reason, "%s", reason);
    backend_publish(&table->backend[i], &b);
    health_publish(&table->health[i], &h);
}

static void set_cert(int i, const char *name, enum cert_source source, int days,
                     const char *error)
{
    struct cert_row c = {.source = (uint8_t)source,
                         .wanted = source == CERT_FILE ? CERT_FILE : CERT_ACME,
                         .generation = 3};

    c.not_before_wall_ms = clock_wall_ms() - 86400000;
    c.not_after_wall_ms = clock_wall_ms() + (uint64_t)days * 86400000;
    snprintf(c.name, sizeof c.name, "%s", name);
    snprintf(c.issuer, sizeof c.issuer, "%s",
             source == CERT_ACME ? "Let's Encrypt E7" : "pasgate");
    snprintf(c.error, sizeof c.error, "%s", error);
    cert_publish(&table->cert[i], &c);
}

/* Two workers' worth of traffic to three backends, and a few more backends. */
static void sample(void)
{
    set_header();
    set_child(0, KIND_WORKER, CHILD_RUNNING, 0);
    set_child(1, KIND_WORKER, CHILD_RUNNING, 1);
    set_child(TABLE_WORKERS, KIND_HEALTHD, CHILD_RUNNING, 0);
    set_child(TABLE_WORKERS + 1, KIND_ACMED, CHILD_RUNNING, 0);
    set_backend(0, "pas1", "pas", HEALTH_UP, "2 checks passed");
    set_backend(1, "pas2", "pas", HEALTH_DOWN, "connect: connection refused, 3 times <b>&");
    set_backend(2, "pas3", "pas", HEALTH_DEGRADED, "ping took 1.8 s, requests complete");
    set_backend(3, "report1", "reports", HEALTH_UP, "2 checks passed");
    struct admin_row drain = {
        .override = ADMIN_DRAIN, .by_operator = 1, .reason = "operator: drain"};
    set_backend(4, "report2", "reports", HEALTH_UP, "2 checks passed");
    admin_publish(&table->admin[4], &drain);
    set_cert(0, "shop.example.com", CERT_ACME, 61, "");
    set_cert(1, "intern.example.com", CERT_SELF_SIGNED, 6,
             "order: 429 rateLimited, next try in 3 h");
    for (int w = 0; w < 2; w++) {
        struct worker_row *row = &table->worker[w];

        count_add(&row->connections, 412);
        count_add(&row->exchanges, 31);
        count_add(&row->exchanges_total, 1240312);
        count_add(&row->bytes_out, UINT64_C(18431223012));
        count_add(&row->handshakes, 5200);
        count_add(&row->handshakes_resumed, 3900);
        count_add(&row->status[2], 1240000);
        count_add(&row->status[5], 12);
        for (int b = 0; b < 5; b++) {
            atomic_store(&row->in_flight[b], b == 1 ? 0 : 12 + 20 * (uint32_t)b);
            atomic_store(&row->queued[b], b == 2 ? 3 : 0);
            count_add(&row->be[b].completed, 200000 + 777 * (uint64_t)b);
            count_add(&row->be[b].connect_errors, b == 1 ? 9 : 0);
            count_add(&row->be[b].latency[11], 900); /* 2 to 4 ms */
            count_add(&row->be[b].latency[17], 20);  /* 131 to 262 ms */
        }
    }
}

static void test_percentiles(void)
{
    struct status_cell cell = {.latency_count = 0};

    is_int(status_percentile(&cell, 500), 0, "of nothing");
    cell.latency[0] = 1;
    cell.latency_count = 1;
    is_int(status_percentile(&cell, 1000), 2, "below the first border");
    cell.latency[0] = 0;
    cell.latency[10] = cell.latency_count = 100;
    is_int(status_percentile(&cell, 500), 1536, "the middle of a bucket");
    is_int(status_percentile(&cell, 1000), 2048, "its end");
    cell.latency[20] = 100;
    cell.latency_count = 200;
    is_int(status_percentile(&cell, 500), 2048, "a border between two");
    ok(status_percentile(&cell, 990) > 1u << 20, "the upper one");
}

static void test_json(void)
{
    json_error_t e;
    json_t *j = json_loads(get("/status.json"), JSON_REJECT_DUPLICATES, &e), *b;

    is_str(type, "application/json", "JSON");
    if (!ok(j != NULL, "parses %s", j ? "" : e.text))
        return;
    b = json_array_get(json_object_get(j, "pools"), 0);
    is_str(json_string_value(json_object_get(b, "name")), "pas", "a pool");
    is_int(json_integer_value(json_object_get(b, "available")), 2, "and who serves it");
    ok(json_is_true(json_object_get(json_object_get(j, "health"), "ready")), "is ready");
    b = json_array_get(json_object_get(j, "backends"), 1);
    is_str(json_string_value(json_object_get(b, "name")), "pas2", "name");
    is_str(json_string_value(json_object_get(b, "state")), "down", "state");
    is_str(json_string_value(json_object_get(b, "address")), "192.0.2.9", "address");
    is_str(json_string_value(json_object_get(b, "reason")),
           "connect: connection refused, 3 times <b>&", "reason");
    is_int(json_integer_value(json_object_get(b, "connect_errors")), 18, "sum over workers");
    b = json_array_get(json_object_get(j, "backends"), 4);
    is_str(json_string_value(json_object_get(b, "state")), "drain", "a wish before health");
    is_int(json_array_size(json_object_get(j, "children")), 4, "children");
    is_int(json_array_size(json_object_get(j, "certificates")), 2, "certificates");
    json_decref(j);
}

static void test_pages(void)
{
    const char *page = get("/");
    const char *keep = getenv("STATUS_PAGE_SAMPLE");

    is_int(status, 200, "page");
    ok(strncmp(page, "<!doctype html>", 15) == 0 && strstr(page, "</html>"), "is whole");
    ok(strstr(page, "3 times &#60;b&#62;&#38;") && !strstr(page, "<b>&<"), "is escaped");
    ok(strstr(page, "degraded") != NULL, "tells the worst");
    FILE *f = keep ? fopen(keep, "w") : NULL;
    if (f) {
        fputs(page, f);
        fclose(f);
    }
    get("/metrics");
    ok(strstr(out, "\npasgate_backend_in_flight{pool=\"pas\",backend=\"pas1\"} 24\n"),
       "metric");
    ok(strstr(out,
              "\npasgate_backend_status{pool=\"pas\",backend=\"pas2\",state=\"down\"} 1\n"),
       "state");
    ok(strstr(out, "backend=\"pas1\",le=\"+Inf\"} 1840\n") != NULL, "histogram");
    ok(strstr(out, "pasgate_config_last_reload_successful 1\n") != NULL, "reload");
    bool healthy = true;
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        healthy &= strncmp(line, "# ", 2) == 0 || strncmp(line, "pasgate_", 8) == 0;
    ok(healthy, "no other lines");
    is_str(get("/healthz"), "ok\n", "healthz");
    is_int(status, 200, "is well");
    is_str(get("/readyz"),
           "ready: pool \"pas\", 2 of 3 backends\nready: pool \"reports\", 1 of 2 backends\n",
           "readyz");
    is_int(status, 200, "is ready");
    get("/etc/passwd");
    is_int(status, 404, "nothing else is here");
    get("/readyz?pool=reports");
    is_int(status, 200, "one pool");
    get("/readyz?x=1&pool=none");
    is_int(status, 404, "no such pool");
    is_int(status_page_render(table, "/", STR(""), out, 1000, &type, &status), -1,
           "a small buffer");
}

static void test_report(void)
{
    struct health_row h;

    set_backend(2, "pas3", "pas", HEALTH_PROBATION, "requests wait");
    health_read(&table->health[2], &h);
    h.cause = CAUSE_FAILED;
    health_publish(&table->health[2], &h);
    ok(strstr(get("/"), ">attention: backend pas3 is"), "on probation, as requests failed");
    h.cause = CAUSE_SILENT;
    health_publish(&table->health[2], &h);
    ok(!strstr(get("/"), ">attention: backend pas3 is"), "not where a report may run");
    set_backend(2, "pas3", "pas", HEALTH_UP, "");
}

/* What is not so is not said: a pool that nobody serves, a certificate that stands in. */
static void test_summary(void)
{
    set_backend(1, "pas2", "pas", HEALTH_UP, "");
    set_backend(2, "pas3", "pas", HEALTH_UP, "");
    set_cert(0, "shop.example.com", CERT_ACME, 61, "");
    set_cert(1, "intern.example.com", CERT_SELF_SIGNED, 61, "");
    for (int w = 0; w < 2; w++)
        atomic_store(&table->worker[w].cert_loaded[0], 3);
    ok(strstr(get("/"),
              ">certificate intern.example.com: a self-signed one is served instead<"),
       "a stand-in is not well");
    set_cert(1, "intern.example.com", CERT_FILE, 61, "");
    ok(strstr(get("/"), "not all workers use it yet") != NULL, "nor what is not loaded");
    for (int w = 0; w < 2; w++)
        atomic_store(&table->worker[w].cert_loaded[1], 3);
    ok(strstr(get("/"), "<span class=\"pill good\">all well<") != NULL, "all well");
    test_report();
    set_cert(1, "intern.example.com", CERT_FILE, 61, "key does not match");
    ok(strstr(get("/"), "intern.example.com: key does not match<") != NULL, "files gone bad");
    struct cert_row cert;
    cert_read(&table->cert[0], &cert);
    cert.revoked_wall_ms = UINT64_C(1800000000123);
    snprintf(cert.error, sizeof cert.error, "the CA says no");
    cert_publish(&table->cert[0], &cert);
    ok(strstr(get("/"), "shop.example.com: it was revoked: browsers may refuse it<") != NULL,
       "revoked");
    ok(strstr(get("/"), ">revoked at 2027-01-15T08:00:00Z: browsers may refuse it; the "
                        "CA says no<") != NULL,
       "since when, and the error");
    uint8_t wanted = cert.wanted;
    cert.key_known = 1;
    cert.wanted = CERT_FILE;
    cert_publish(&table->cert[0], &cert);
    ok(strstr(get("/"), "shop.example.com: its key is compromised: replace key and chain<") !=
           NULL,
       "not itself, but with the key of one that was");
    ok(strstr(get("/"), ">its key is compromised: another certificate with it was revoked at "
                        "2027-01-15T08:00:00Z; replace key and chain; the CA says no<") != NULL,
       "which is told");
    ok(strstr(get("/status.json"), "\"revoked\":\"2027-01-15T08:00:00.123Z\"") != NULL,
       "in JSON, too");
    cert.revoked_wall_ms = 0;
    cert.key_known = 0;
    cert.wanted = wanted;
    cert.error[0] = '\0';
    cert.next_try_wall_ms = UINT64_C(1900000000123);
    cert_publish(&table->cert[0], &cert);
    ok(strstr(get("/"), "<td class=n>2030-03-17T17:46:40.123Z<") != NULL, "the next try");
    cert.busy = 1;
    cert_publish(&table->cert[0], &cert);
    ok(strstr(get("/"), "<td class=n>now<") != NULL, "which is now");
    set_cert(1, "intern.example.com", CERT_FILE, 0, "");
    ok(strstr(get("/"), "it has expired<") != NULL, "expired");
    set_backend(3, "report1", "reports", HEALTH_DOWN, "");
    set_backend(4, "report2", "reports", HEALTH_DOWN, "");
    ok(strstr(get("/"), "<span class=\"pill bad\">no healthy backend in pool reports<") != NULL,
       "a pool without: red, whatever else there is");
    get("/readyz");
    is_int(status, 503, "not ready");
    get("/readyz?pool=pas");
    is_int(status, 200, "the other one is");
    get("/readyz?pool=%72eports");
    is_int(status, 503, "this one is not");
    get("/healthz");
    is_int(status, 200, "and it lives");
    get("/metrics");
    ok(strstr(out, "\npasgate_pool_backends_available{pool=\"reports\"} 0\n") != NULL,
       "metric");
    ok(strstr(out, "\npasgate_ready 0\n") != NULL, "and in one figure");
}

static void set_admin(int i, enum admin_state override, enum drain_end drained,
                      enum recovery_state heal)
{
    const struct admin_row row = {
        .override = (uint8_t) override, .drained = (uint8_t)drained, .heal = (uint8_t)heal};

    admin_publish(&table->admin[i], &row);
}

/* The same words as in the log (worker/proxy/refresh.c). */
static void test_taken_out(void)
{
    set_backend(3, "report1", "reports", HEALTH_UP, "");
    set_backend(4, "report2", "reports", HEALTH_UP, "");
    set_admin(3, ADMIN_DRAIN, DRAIN_GOES_ON, RECOVERY_NONE);
    set_admin(4, ADMIN_DRAIN, DRAIN_GOES_ON, RECOVERY_NONE);
    ok(strstr(get("/"), ">no backend of pool reports is up and ready: draining backends serve "
                        "instead<"),
       "all are being drained: they serve");
    set_backend(3, "report1", "reports", HEALTH_DOWN, "");
    set_admin(4, ADMIN_DRAIN, DRAIN_EMPTY, RECOVERY_NONE);
    ok(strstr(get("/"), ">no healthy backend in pool reports<"),
       "one is down, and the other one is drained");
    set_admin(3, ADMIN_MAINT, DRAIN_GOES_ON, RECOVERY_NONE);
    ok(strstr(get("/"), ">all backends of pool reports are in maintenance or drained (by "
                        "operators)<"),
       "all are out, by operators");
    set_admin(3, ADMIN_READY, DRAIN_GOES_ON, RECOVERY_RESTARTING);
    ok(strstr(get("/"), ">all backends of pool reports are in maintenance, drained or "
                        "restarted<"),
       "not all of them by operators");
    set_admin(3, ADMIN_READY, DRAIN_GOES_ON, RECOVERY_NONE);
    set_admin(4, ADMIN_READY, DRAIN_GOES_ON, RECOVERY_NONE);
}

/* Label values are escaped for Prometheus, alike in all metrics: a metric's lines about one
 * thing could not be joined otherwise. */
static void test_labels(void)
{
    set_backend(5, "pas\x7f", "odd\x01pool", HEALTH_UP, "");
    set_cert(2, "odd\x01name", CERT_FILE, 61, "");
    get("/metrics");
    ok(strstr(out, "\\u") == NULL, "no escapes of JSON");
    ok(strstr(out, "\npasgate_pool_queued{pool=\"odd\\\\x01pool\"}") != NULL, "a pool");
    ok(strstr(out, "\npasgate_backend_weight{pool=\"odd\\\\x01pool\",") != NULL, "its backend");
    ok(strstr(out, "\npasgate_tls_certs_as_configured{name=\"odd\\\\x01name\"}") != NULL,
       "a certificate");
    ok(strstr(out, "\npasgate_acme_next_try_seconds{name=\"odd\\\\x01name\"}") != NULL,
       "in another metric");
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

/* A thousand certificates: people see those with something wrong, and machines all. */
static void test_many(void)
{
    static const char *const paths[] = {"/", "/status.json", "/metrics"};
    char name[TABLE_NAME];

    for (int i = 0; i < TABLE_CERTS; i++) {
        snprintf(name, sizeof name, "cert-%04d.many.test", i);
        set_cert(i, name, CERT_ACME, 61, i == 1000 ? "the CA says no" : "");
        for (int w = 0; w < 2; w++)
            atomic_store(&table->worker[w].cert_loaded[i], i == 900 && w == 1 ? 2 : 3);
    }
    get("/");
    is_int(count(out, ".many.test</b>"), SUMMARY_CERTS, "the page shows some");
    ok(strstr(out, "cert-1000.many.test</b>") && strstr(out, "cert-0900.many.test</b>") &&
           strstr(out, "the CA says no"),
       "those with something wrong among them");
    ok(strstr(out, ">974 more, all as configured: <code>pasgate cert list</code>") != NULL,
       "and how many more there are");
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "cert-%04d.many.test", i);
        set_cert(i, name, CERT_SELF_SIGNED, 61, "");
    }
    ok(strstr(get("/"), ">974 more, 52 of them not as configured: ") != NULL,
       "and how many of these are wrong");
    is_int(count(get("/status.json"), ".many.test\""), TABLE_CERTS, "JSON has all");
    is_int(count(get("/metrics"), "certs_not_after{name=\"cert-"), TABLE_CERTS, "metrics, too");
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint64_t start = clock_mono_us();

        get(paths[i]);
        diag("%s of many: %zu bytes in %.1f ms", paths[i], strlen(out),
             (double)(clock_mono_us() - start) / 1000);
    }
}

/* Every row used, with the longest texts that escape worst. */
static void test_full(void)
{
    char name[TABLE_NAME], reason[TABLE_REASON];

    memset(name, 'n', sizeof name - 1);
    memset(reason, '"', sizeof reason - 1);
    name[sizeof name - 1] = reason[sizeof reason - 1] = '\0';
    for (int i = 0; i < TABLE_BACKENDS; i++)
        set_backend(i, name, name, HEALTH_DOWN, reason);
    for (int i = 0; i < TABLE_CERTS; i++)
        set_cert(i, name, CERT_ACME, 9, reason);
    for (int i = 0; i < TABLE_WORKERS; i++)
        set_child(i, KIND_WORKER, CHILD_DRAINING, 3);
    static const char *const paths[] = {"/", "/status.json", "/metrics"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        uint64_t start = clock_mono_us();

        ok(get(paths[i])[0], "full table: %s", paths[i]);
        diag("%zu bytes in %.1f ms", strlen(out), (double)(clock_mono_us() - start) / 1000);
    }
    get("/healthz");
    is_int(status, 503, "draining workers only: not well");
    struct header_row h = {
        .reload_wall_ms = 1, .reload_nerrors = 2, .reload_error = "pasgate.conf:7: <oops>"};
    header_publish(&table->header, &h);
    ok(strstr(get("/"), "pasgate.conf:7: &#60;oops&#62;</code> and 1 more"), "a failed reload");
    seq_write_begin(&table->header.seq);
    ok(strstr(get("/"), "this page reloads itself") != NULL, "a half-written header");
    ok(get("/status.json")[0] == '{', "JSON too");
}

int main(void)
{
    if (!(table = aligned_alloc(TABLE_PAGE, sizeof *table)))
        return 1;
    memset(table, 0, sizeof *table);
    table->cert_rows = TABLE_CERTS;
    is_str(get("/healthz"), "no worker\n", "an empty table");
    is_int(status, 503, "is not well");
    sample();
    test_percentiles();
    test_json();
    test_pages();
    test_summary();
    test_taken_out();
    test_labels();
    test_many();
    test_full();
    free(table);
    return done();
}
