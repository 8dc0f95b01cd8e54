/* What the restarter makes of the Docker Engine's words: descriptions, errors, logs, and the
 * verdict look by look. */
#include "healthd/restarter/docker.h"

#include <errno.h>
#include <stdlib.h>

#include "healthd/restarter/mask.h"
#include "healthd/restarter/tail.h"
#include "t/unit/tap.h"

/* ---- descriptions */

#define STATE(members)                                                             \
    "{\"Name\":\"/pas1\",\"RestartCount\":2,\"Config\":{\"Env\":[\"PW=hunter2\"]," \
    "\"Cmd\":[\"pas\",\"-pw\",\"hunter2\"],\"Labels\":{\"x\":\"hunter2\"},"        \
    "\"Healthcheck\":{\"Test\":[\"curl\",\"-u\",\"hunter2\"]},\"Tty\":false},"     \
    "\"Args\":[\"hunter2\"],\"State\":{" members "}}"

static struct docker_state parse(const char *json)
{
    struct docker_state state;

    ok(docker_parse_inspect(json, strlen(json), &state), "a description");
    return state;
}

static void test_inspect(void)
{
    struct docker_state s =
        parse(STATE("\"Running\":true,\"StartedAt\":\"2026-11-23T03:42:17.5Z\","
                    "\"Health\":{\"Status\":\"unhealthy\",\"Log\":[{\"Output\":\"old\"},"
                    "{\"Output\":\"\\n  no\\u001b database\\nmore\"}]}"));

    ok(s.running && !s.restarting && !s.paused && s.health == DOCKER_UNHEALTHY, "its state");
    is_str(s.started, "2026-11-23T03:42:17.5Z", "since");
    is_str(s.checked, "no  database", "first line of the last check, printable");
    is_int(s.restarts, 2, "restarts");
    s = parse(STATE("\"Running\":false,\"OOMKilled\":true,\"ExitCode\":137,\"Error\":\"bad\""));
    ok(!s.running && s.oom_killed && s.exit_code == 137, "an end");
    is_str(s.error, "bad", "with an error");
    is_int(s.health, DOCKER_NO_CHECK, "no check");
    s = parse(STATE("\"Running\":true,\"Health\":{\"Status\":\"none\"}"));
    is_int(s.health, DOCKER_NO_CHECK, "a check that was switched off");
    s = parse(STATE("\"Running\":true,\"Health\":{\"Status\":\"starting\",\"Log\":[]}"));
    is_int(s.health, DOCKER_STARTING, "starting");
    s = parse(STATE("\"Running\":true,\"Health\":{\"Status\":7,\"Log\":{}},\"StartedAt\":{},"
                    "\"ExitCode\":\"x\",\"Error\":[]"));
    ok(s.running && !*s.started && !*s.error && s.exit_code == 0, "wrong types are nothing");
}

static void test_no_inspect(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "{}",
        "{\"State\":1}",
        "{\"State\":{}}",
        "{\"State\":{\"Running\":1}}",
        "{\"State\":{\"Running\":true}",
        "<html>",
    };
    struct docker_state state;
    static char deep[20000];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok(!docker_parse_inspect(bad[i], strlen(bad[i]), &state), "no description: %s", bad[i]);
        ok(!state.running, "and nothing runs");
    }
    memset(deep, '[', sizeof deep);
    ok(!docker_parse_inspect(deep, sizeof deep, &state), "a tower of brackets");
}

static void test_describe(void)
{
    const char *json = STATE("\"Running\":true,\"Pid\":7");
    char *text = docker_describe(json, strlen(json));

    ok(text && strstr(text, "\"Pid\": 7") && strstr(text, "/pas1"), "kept: the state");
    ok(text && !strstr(text, "hunter2"), "left out: environment, command, labels, check");
    free(text);

    json = STATE(
        "\"Running\":false,\"ExitCode\":137,\"OOMKilled\":true,\"Cmdline\":\"hunter2\","
        "\"StartedAt\":\"t1\",\"FinishedAt\":\"t2\","
        "\"Error\":\"exec: \\\"pas -pw hunter2\\\": not found\","
        "\"Health\":{\"Status\":\"unhealthy\",\"FailingStreak\":3,\"Log\":[{\"Start\":\"t3\","
        "\"End\":\"t4\",\"ExitCode\":22,\"Output\":\"curl http://u:hunter2@h/x\"}]}");
    text = docker_describe(json, strlen(json));
    ok(text && !strstr(text, "hunter2"),
       "left out: the output of checks, command lines in errors, members that are not known");
    static const char *const kept[] = {"\"ExitCode\": 137",
                                       "\"OOMKilled\": true",
                                       "t1",
                                       "t2",
                                       "t3",
                                       "t4",
                                       "\"ExitCode\": 22",
                                       "\"FailingStreak\": 3",
                                       "exec: \\\"...\\\": not found",
                                       "unhealthy"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        ok(text && strstr(text, kept[i]), "kept: %s", kept[i]);
    free(text);
    ok(!docker_describe("[]", 2) && !docker_describe("x", 1), "no description");
}

static void test_mask(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", ""},
        {"Bind for 0.0.0.0:8810 failed: port is already allocated",
         "Bind for 0.0.0.0:8810 failed: port is already allocated"},
        {"curl: (7) Failed to connect to localhost port 8810 after 0 ms",
         "curl: (7) Failed to connect to localhost port 8810 after 0 ms"},
        {"exec: \"pas -pw hunter2\": no such file", "exec: \"...\": no such file"},
        {"exec: \"hunter2", "exec: \"...\""},
        {"GET http://u:hunter2@h:8810/x?hunter2 502", "GET http://h:8810/... 502"},
        {"GET https://hunter2:a@b@h", "GET https://h"},
        {"DB_PASS=hunter2 is wrong", "DB_PASS=... is wrong"},
        {"GET /x?t=hunter2", "GET /x?t=..."},
        {"pas -pw hunter2 -b", "pas -... ... -..."},
        {"curl --user hunter2 ended with -1", "curl -... ... ended with -1"},
        {"password hunter2 refused", "password ... refused"},
        {"sent Authorization: Basic hunter2, hunter2", "sent Authorization: ..."},
        {"curl -H 'Authorization: Basic hunter2' http://h/", "curl -... ... ..."},
        {"password = hunter2 refused", "password ... ... refused"},
        {"token : hunter2", "token ... ..."},
        {"PASSWORD=hunter2;url=http://h/", "PASSWORD=..."},
        {"PASS='hunter2 hunter3' is wrong", "PASS=... is wrong"},
        {"PASS='hunter2 hunter3", "PASS=..."},
    };
    char out[DOCKER_TEXT];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_str(mask_line(out, sizeof out, cases[i].in, strlen(cases[i].in)), cases[i].out,
               "masked: %s", cases[i].in);
    is_str(mask_line(out, 8, "port 8810 is in use", 19), "port 88", "cut to fit");
    struct docker_state s =
        parse(STATE("\"Running\":true,\"Error\":\"pas -pw hunter2\",\"Health\":{\"Status\":"
                    "\"unhealthy\",\"Log\":[{\"Output\":\"http://u:hunter2@h/ 502\"}]}"));
    is_str(s.checked, "http://h/... 502", "the log's line has no secret");
    is_str(s.error, "pas -... ...", "  nor has an error");
}

static const char *failure(long status, int error, const char *body)
{
    static struct restart_result result;
    char message[DOCKER_TEXT];

    docker_parse_error(body, strlen(body), message);
    docker_tell_failure(&result, "pas1", "/run/d.sock", status, error, "no answer", message);
    return result.done ? "done?" : result.text;
}

static void test_failures(void)
{
    is_str(failure(404, 0, "{\"message\":\"No such container: pas1\"}"),
           "there is no container pas1", "404");
    is_str(failure(500, 0, "{\"message\":\"driver failed\\nmore\"}"),
           "the Docker Engine says HTTP 500 for container pas1: driver failed", "500");
    is_str(failure(403, 0, "<html>"), "the Docker Engine says HTTP 403 for container pas1",
           "a filter's refusal");
    is_str(failure(0, ENOENT, ""), "there is no Docker socket /run/d.sock", "no socket");
    is_str(failure(0, EACCES, ""), "no permission for the Docker socket /run/d.sock",
           "not allowed");
    is_str(failure(0, ECONNREFUSED, ""), "nothing listens at the Docker socket /run/d.sock",
           "nobody");
    is_str(failure(0, 0, ""), "Docker Engine at /run/d.sock: no answer", "no answer");
}

/* ---- looks */

static struct docker_watch watch;
static struct restart_result result;

static enum docker_verdict look(uint64_t now_ms, struct docker_state s)
{
    return docker_look(&watch, &s, now_ms, &result);
}

#define RUNS .running = true, .started = "t1"

static void begin(void)
{
    watch = (struct docker_watch){.before = "t0"};
}

static void test_looks(void)
{
    begin();
    is_int(look(0, (struct docker_state){RUNS}), DOCKER_WAIT, "just started");
    is_int(look(900, (struct docker_state){RUNS}), DOCKER_WAIT, "not long enough");
    is_int(look(1000, (struct docker_state){RUNS}), DOCKER_GOOD, "steady");
    ok(result.done, "done");
    begin();
    look(0, (struct docker_state){RUNS});
    is_int(look(900, (struct docker_state){.running = true, .started = "t2"}), DOCKER_WAIT,
           "started once more");
    is_int(look(1500, (struct docker_state){.running = true, .started = "t2"}), DOCKER_WAIT,
           "counts anew");
    begin();
    look(0, (struct docker_state){.running = true, .started = "t0"});
    is_int(look(5000, (struct docker_state){.running = true, .started = "t0"}), DOCKER_WAIT,
           "the old run is no restart");
    is_str(result.text, "it has not been restarted", "and that is said");
    begin();
    is_int(look(0, (struct docker_state){RUNS, .paused = true}), DOCKER_WAIT, "paused");
    begin();
    is_int(look(0, (struct docker_state){.exit_code = 3, .oom_killed = true}), DOCKER_BAD,
           "ended");
    is_str(result.text, "it was started and ended with exit code 3, out of memory", "so");
}

static void test_looks_at_health(void)
{
    begin();
    is_int(look(0, (struct docker_state){RUNS, .health = DOCKER_STARTING}), DOCKER_WAIT,
           "health is starting");
    is_int(look(9000, (struct docker_state){RUNS, .health = DOCKER_STARTING}), DOCKER_WAIT,
           "however long it runs");
    is_int(look(9100, (struct docker_state){RUNS, .health = DOCKER_UNHEALTHY,
                                            .checked = "no database"}),
           DOCKER_WAIT, "unhealthy: it may become well");
    is_str(result.text, "it runs, but is unhealthy: no database", "that is what is told else");
    ok(!result.done, "not done");
    is_int(look(9200, (struct docker_state){RUNS, .health = DOCKER_HEALTHY}), DOCKER_GOOD,
           "healthy");
}

static void test_looks_at_loop(void)
{
    struct docker_state s = {.running = true, .started = "t1", .restarts = 4};

    begin();
    is_int(look(0, s), DOCKER_WAIT, "what it did before does not count");
    s.restarts = 5;
    s.restarting = true;
    s.exit_code = 9;
    is_int(look(100, s), DOCKER_WAIT, "it ended: the engine starts it again");
    is_str(result.text, "it keeps ending and being started again, with exit code 9", "told");
    s.restarts = 6;
    s.restarting = false;
    s.exit_code = 0; /* as long as it runs */
    snprintf(s.started, sizeof s.started, "t3");
    is_int(look(200, s), DOCKER_WAIT, "it runs for a moment");
    ok(strstr(result.text, "keeps ending"), "what is told stays");
    s.restarts = 7;
    is_int(look(300, s), DOCKER_BAD, "three times: a loop");
    is_str(result.text, "it keeps ending and being started again, with exit code 9",
           "with the code that was seen between");
    s.restarts = 0;
    is_int(look(400, s), DOCKER_WAIT, "a person starts it anew");
    begin();
    look(0, s);
    s.restarts = 3;
    is_int(look(100, s), DOCKER_BAD, "a loop that is too fast to be seen at its ends");
    is_str(result.text, "it keeps ending and being started again", "without a code");
}

/* ---- logs */

static const char *demux(const char *bytes, size_t n, size_t piece)
{
    static struct tail tail;
    static char text[200];
    struct docker_log log = {.into = &tail};
    size_t kept;

    tail_release(&tail);
    tail_init(&tail, sizeof text - 1);
    for (size_t i = 0; i < n; i += piece)
        docker_log_add(&log, bytes + i, n - i < piece ? n - i : piece);
    const char *from = tail_bytes(&tail, &kept);
    memcpy(text, from, kept);
    text[kept] = '\0';
    tail_release(&tail);
    return text;
}

static void test_logs(void)
{
    static const char frames[] = "\1\0\0\0\0\0\0\4one\n\2\0\0\0\0\0\0\4two\n"
                                 "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\3end";

    for (size_t piece = 1; piece < sizeof frames; piece++)
        is_str(demux(frames, sizeof frames - 1, piece), "one\ntwo\nend", "frames by %zu",
               piece);
    is_str(demux("2026-11-23T text\nmore", 21, 4), "2026-11-23T text\nmore", "a terminal's");
    is_str(demux(frames, 10, 3), "on", "a frame that was cut");
    is_str(demux("\1\0\0\0\377\377\377\377x", 9, 9), "x", "a length that is too long");
    is_str(demux("", 0, 1), "", "nothing");
}

int main(void)
{
    test_inspect();
    test_no_inspect();
    test_describe();
    test_mask();
    test_failures();
    test_looks();
    test_looks_at_health();
    test_looks_at_loop();
    test_logs();
    return done();
}
