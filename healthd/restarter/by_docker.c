/* A restart by the Docker Engine. The engine stops the container, in time or by force, and
 * starts it again; then we poll until it is back. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "healthd/restarter/docker.h"
#include "healthd/restarter/fetch.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"

enum {
    INSPECT_MAX = 1024 * 1024, /* bytes of a description: real ones have some 10 KiB */
    INSPECT_MS = 10000,  /* for an inspect, if more time is left: the engine may be busy */
    LAST_LOOK_MS = 1000, /* for the last inspect, at least */
    LOOK_FIRST_MS = 100, /* between two polls, half as much again each time ... */
    LOOK_LAST_MS = 1000, /* ... up to this */
    URL_MAX = CONF_NAME_LEN + 80,
};

struct engine {
    const struct restart_call *call;
    uint64_t began_ms, deadline_ms;
    struct restart_result *result;
};

static void by_docker_note(const struct engine *engine, const struct fetch *f)
{
    char line[URL_MAX + 160];
    int n = snprintf(line, sizeof line, "%s %s: HTTP %ld after %u ms%s%s\n",
                     f->post ? "POST" : "GET", f->url, f->status, f->took_ms,
                     *f->trouble ? ", " : "", f->trouble);

    tail_add(engine->call->said, line, (size_t)n);
}

/* Sends one request. False: there was no good response, and the result says why. */
static bool by_docker_ask(const struct engine *engine, struct fetch *f, const char *verb,
                          bool post)
{
    const struct conf_backend *b = engine->call->backend;
    char url[URL_MAX], message[DOCKER_TEXT] = "";
    uint64_t now = clock_mono_ms();
    uint32_t left = now < engine->deadline_ms ? (uint32_t)(engine->deadline_ms - now) : 0;

    snprintf(url, sizeof url, "http://localhost/containers/%s/%s", b->restart_docker, verb);
    *f = (struct fetch){.url = url,
                        .socket = b->restart_socket,
                        .post = post,
                        .limit_ms = post                  ? left
                                    : left > INSPECT_MS   ? INSPECT_MS
                                    : left < LAST_LOOK_MS ? LAST_LOOK_MS
                                                          : left,
                        .max_body = INSPECT_MAX};
    fetch_all(f, 1, f->limit_ms);
    by_docker_note(engine, f);
    f->url = NULL;
    if (f->status / 100 == 2 && !*f->trouble)
        return true;
    docker_parse_error(f->body, f->n_body, message);
    docker_tell_failure(engine->result, b->restart_docker, b->restart_socket, f->status,
                        f->error, f->trouble, message);
    return false;
}

/* Does the engine respond, and does it know the container? */
static bool look_before(const struct engine *engine, struct docker_watch *watch)
{
    struct docker_state state;
    struct fetch f;
    bool good = by_docker_ask(engine, &f, "json", false);

    if (good && docker_parse_inspect(f.body, f.n_body, &state))
        snprintf(watch->before, sizeof watch->before, "%s", state.running ? state.started : "");
    /* A filter before the engine may allow restarts and nothing else. */
    good = good || f.status == 403 || f.status == 405;
    fetch_release(&f);
    return good;
}

static void pause_ms(uint64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000),
                                 .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

/* One poll; false: time is not over, poll again. */
static bool by_docker_look(const struct engine *engine, struct docker_watch *watch)
{
    struct restart_result *result = engine->result;
    enum docker_verdict verdict = DOCKER_WAIT;
    struct docker_state state;
    struct fetch f;

    if (by_docker_ask(engine, &f, "json", false)) {
        if (docker_parse_inspect(f.body, f.n_body, &state))
            verdict = docker_look(watch, &state, clock_mono_ms(), result);
        else
            restart_tell(result, false,
                         "the Docker Engine's response does not describe a container");
    } else if (f.status == 404) {
        verdict = DOCKER_BAD;
    } else if (f.status == 403 || f.status == 405) {
        restart_tell(result, true, "but its state cannot be read: HTTP %ld", f.status);
        verdict = DOCKER_GOOD;
    }
    fetch_release(&f);
    return verdict != DOCKER_WAIT;
}

static void wait_for_it(const struct engine *engine, struct docker_watch *watch)
{
    struct restart_result *result = engine->result;
    const struct conf_backend *b = engine->call->backend;
    char took[RESTART_TIME], limit[RESTART_TIME];
    uint64_t between = LOOK_FIRST_MS;
    bool over = false;

    while (!by_docker_look(engine, watch) && !over) {
        uint64_t now = clock_mono_ms();

        over = now + between >= engine->deadline_ms; /* one last poll, then stop */
        pause_ms(!over ? between : now < engine->deadline_ms ? engine->deadline_ms - now : 0);
        between = between * 3 / 2 < LOOK_LAST_MS ? between * 3 / 2 : LOOK_LAST_MS;
    }
    struct restart_result seen = *result;

    restart_seconds(took, clock_mono_ms() - engine->began_ms);
    restart_seconds(limit, b->restart_timeout_ms);
    if (seen.done)
        restart_tell(result, true, "container %s was restarted in %s, %s", b->restart_docker,
                     took, seen.text);
    else
        restart_tell(result, false, "container %s is not back after %s: %s", b->restart_docker,
                     over ? limit : took, seen.text);
}

void restart_by_docker(const struct restart_call *call, struct restart_result *result)
{
    const struct conf_backend *b = call->backend;
    struct engine engine = {.call = call, .result = result, .began_ms = clock_mono_ms()};
    struct docker_watch watch = {0};
    char verb[40];
    struct fetch f;

    engine.deadline_ms = engine.began_ms + b->restart_timeout_ms;
    if (!look_before(&engine, &watch))
        return;
    snprintf(verb, sizeof verb, "restart?t=%u", (b->restart_stop_ms + 999) / 1000);
    bool good = by_docker_ask(&engine, &f, verb, true);
    fetch_release(&f);
    if (good)
        wait_for_it(&engine, &watch);
}
