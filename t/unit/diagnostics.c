/* Evidence: its limits, its secrets, and files of what the table says. */
#include "healthd/restarter/diagnostics.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/fd.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"
#include "shm/exchange_ring.h"
#include "shm/heritage.h"
#include "t/unit/tap.h"

static const char *const argv[] = {"/usr/bin/restart", "--password", "hunter2"};
static const struct conf_backend backend = {.name = "pas1",
                                            .host = "pas1.test",
                                            .socket = "",
                                            .port = 8810,
                                            .restart_docker = "",
                                            .restart_command = argv,
                                            .n_restart_command = 3};
static struct heritage heritage;
static struct tail said;
static struct restart_call call = {.backend = &backend,
                                   .pool = "pas",
                                   .incident = "i-1",
                                   .reason = "a \"quoted\" reason",
                                   .said = &said};
static char dir[] = "/tmp/pasgate-evidence-XXXXXX";

static const char *slurp(const char *name, size_t *n)
{
    static char *text;
    char path[100];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    free(text);
    *n = 0;
    text = fd < 0 ? NULL : fd_read_all(fd, 1 << 23, n);
    if (fd >= 0)
        close(fd);
    unlink(path);
    return text ? text : "";
}

static void put(struct diagnostics *ev, const char *name, const char *bytes, size_t n)
{
    diagnostics_finish(ev, name, diagnostics_create(ev, name), bytes, n);
}

static void test_limits(void)
{
    static char big[DIAGNOSTICS_FILE + 5];
    struct diagnostics ev;
    struct stat st;
    char path[100];
    size_t n;

    diagnostics_open(&ev, &heritage, &call, DIAGNOSTICS_OURS);
    put(&ev, "small", "text", 4);
    snprintf(path, sizeof path, "%s/small", dir);
    ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "mode 0600");
    put(&ev, "small", "other", 5);
    is_str(slurp("small", &n), "text", "no file is written over");
    ok(strstr(ev.trouble, "small: File exists"), "that is trouble");
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "big%d", i);
        put(&ev, path, big, sizeof big);
    }
    size_t total = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "big%d", i);
        slurp(path, &n);
        ok(n <= DIAGNOSTICS_FILE, "a file: %zu bytes", n);
        total += n;
    }
    is_int(total + 4, DIAGNOSTICS_OURS, "all of them");
    diagnostics_close(&ev);

    snprintf(heritage.action.evidence, sizeof heritage.action.evidence, "%s/none", dir);
    diagnostics_open(&ev, &heritage, &call, DIAGNOSTICS_OURS);
    put(&ev, "x", "x", 1);
    diagnostics_of_table(&ev);
    ok(strstr(ev.trouble, "No such file"), "no folder: %s", ev.trouble);
    heritage.action.evidence[0] = '\0';
    diagnostics_open(&ev, &heritage, &call, DIAGNOSTICS_OURS);
    diagnostics_of_table(&ev);
    is_str(ev.trouble, "", "none wanted: no trouble");
    snprintf(heritage.action.evidence, sizeof heritage.action.evidence, "%s", dir);
}

static void test_full_disk(void)
{
    struct diagnostics ev;
    char path[100];

    diagnostics_open(&ev, &heritage, &call, DIAGNOSTICS_OURS);
    snprintf(path, sizeof path, "%s/full", dir);
    ok(symlink("/dev/full", path) == 0, "a link is there");
    put(&ev, "full", "text", 4);
    ok(*ev.trouble, "it is not followed: %s", ev.trouble);
    unlink(path);
    diagnostics_close(&ev);
}

static void fill_table(void)
{
    struct table *t = heritage.table;
    struct backend_row row = {.used = 1, .identity = 7, .name = "pas1", .pool = "pas"};
    struct child_row child = {.kind = KIND_WORKER, .incarnation = 1};
    struct recent_row recent = {.end_wall_ms = 1795342530007, .status = 502, .attempts = 2};

    backend_publish(&t->backend[3], &row);
    history_add(&t->health_history[3], HEALTH_UP, HEALTH_DOWN, "healthd", "it hangs");
    history_add(&t->admin_history[3], ADMIN_READY, ADMIN_DRAIN, "operator", "signal");
    child_publish(&t->child[0], &child);
    atomic_store(&t->recent_rows[0], TABLE_RECENT);
    exchange_ring_begin(&t->worker[0], 4, 1, TABLE_RECENT);
    exchange_ring_claim(&t->worker[0], 3, 7);
    memcpy(recent.method, "GET", 3);
    memcpy(recent.end, "backend", 7);
    memcpy(recent.phase, "first-byte", 10);
    memcpy(recent.id, "0123456789abcdef0123456789abcdef", 32);
    exchange_ring_path(&recent, STR("/web/a\nb;jsessionid=hunter2?hunter2"));
    exchange_ring_add(&t->worker[0], 3, &recent);
}

static void test_table(void)
{
    static const uint16_t slots[] = {3};
    struct diagnostics ev;
    struct restart_result result = {.done = true, .text = "it runs"};
    const char *text;
    size_t n;

    heritage.backend_slot = slots;
    fill_table();
    diagnostics_open(&ev, &heritage, &call, DIAGNOSTICS_OURS);
    diagnostics_of_table(&ev);
    tail_add(&said, "a line", 6);
    diagnostics_of_action(&ev, &result);
    is_str(ev.trouble, "", "no trouble");
    text = slurp("transitions", &n);
    ok(strstr(text, "healthd") && strstr(text, "it hangs") && strstr(text, "operator"),
       "transitions of both actors");
    text = slurp("exchanges", &n);
    ok(strstr(text, "2026-11-22T10:15:30.007Z  GET /web/a b  502 0  backend first-byte") &&
           strstr(text, "2  0123456789abcdef0123456789abcdef\n"),
       "exchanges");
    ok(!strstr(text, "hunter2"), "without session and query");
    ok(strstr(slurp("counters", &n), "connect_errors"), "counters");
    text = slurp("incident.json", &n);
    ok(strstr(text, "\"reason\": \"a \\\"quoted\\\" reason\"") && strstr(text, "i-1") &&
           strstr(text, "\"command\": \"/usr/bin/restart\""),
       "incident");
    ok(!strstr(text, "hunter2"), "without the command's arguments");
    text = slurp("action.log", &n);
    ok(strncmp(text, "a line\n20", 9) == 0 && strstr(text, "restarted: it runs\n"), "action");
    diagnostics_close(&ev);
}

static size_t names(size_t (*parse)(const char *, size_t, char[][DIAGNOSTICS_ID], size_t),
                    const char *json, char out[][DIAGNOSTICS_ID])
{
    return parse(json, strlen(json), out, 2);
}

static void test_names(void)
{
    char out[2][DIAGNOSTICS_ID];

    is_int(names(diagnostics_applications,
                 "{\"result\":{\"Application\":[{\"name\":\"oepas1\"},{\"name\":\"b.c\"},"
                 "{\"name\":\"d\"}]}}",
                 out),
           2, "two applications, no more");
    ok(strcmp(out[0], "oepas1") == 0 && strcmp(out[1], "b.c") == 0, "by name");
    is_int(names(diagnostics_applications,
                 "{\"result\":{\"a\":[{\"name\":\"../x\"},{\"name\":\"..\"},{\"name\":\"\"},"
                 "{\"name\":\"a b\"},{\"name\":{}},7]}}",
                 out),
           0, "no name that would change the path");
    is_int(names(diagnostics_applications, "{\"result\":7}", out), 0, "none");
    is_int(names(diagnostics_agents,
                 "{\"result\":{\"agents\":[{\"agentId\":\"Vk-_1\",\"pid\":\"42\"},"
                 "{\"pid\":43}]}}",
                 out),
           2, "agents");
    ok(strcmp(out[0], "Vk-_1") == 0 && strcmp(out[1], "43") == 0, "by id, else by pid");
    is_int(names(diagnostics_agents, "no JSON", out), 0, "no JSON");
}

static void test_harmless(void)
{
    static const char json[] = "{\"a\":[{\"requestURL\":\"http://h/web/"
                               "x?token=hunter2\",\"httpSessionId\":\"hunter2\","
                               "\"Password\":{\"x\":\"hunter2\"},\"clientSecret\":\"hunter2\","
                               "\"n\":7}],\"uri\":\"/x;jsessionid=hunter2\"}";
    static char deep[2001];
    char *text = diagnostics_harmless(json, strlen(json));

    ok(text && !strstr(text, "hunter2"), "no secrets");
    ok(text && strstr(text, "http://h/web/x\"") && strstr(text, "\"n\": 7"), "the rest stays");
    free(text);
    ok(!diagnostics_harmless("<html>", 6), "no JSON");
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    text = diagnostics_harmless(deep, 2000);
    ok(text && strstr(text, "(nested too deeply)"), "too deep");
    free(text);
}

int main(void)
{
    heritage.table = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (heritage.table == MAP_FAILED || !mkdtemp(dir) || tail_init(&said, 1000) < 0)
        return 1;
    snprintf(heritage.action.evidence, sizeof heritage.action.evidence, "%s", dir);
    test_limits();
    test_full_disk();
    test_table();
    test_names();
    test_harmless();
    tail_release(&said);
    ok(rmdir(dir) == 0, "nothing else was written");
    return done();
}
