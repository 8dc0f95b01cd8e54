/* The JSON of the Docker Engine. Bodies are bounded where they are read, and jansson
 * bounds their depth (2048). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "healthd/restarter/docker.h"
#include "healthd/restarter/mask.h"
#include "healthd/restarter/tail.h"

static void docker_json_take_text(char *out, size_t cap, const json_t *value)
{
    tail_plain(out, cap, json_is_string(value) ? json_string_value(value) : "",
               json_string_length(value));
}

/* The first line of what a program printed, which usually has the reason, masked. */
static void docker_json_take_line(char *out, size_t cap, const json_t *value)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";

    text += strspn(text, " \t\r\n");
    mask_line(out, cap, text, strcspn(text, "\r\n"));
}

static enum docker_health health_of(const json_t *health)
{
    const char *status = json_string_value(json_object_get(health, "Status"));

    if (!status || strcmp(status, "none") == 0 || *status == '\0')
        return DOCKER_NO_CHECK;
    if (strcmp(status, "healthy") == 0)
        return DOCKER_HEALTHY;
    return strcmp(status, "unhealthy") == 0 ? DOCKER_UNHEALTHY : DOCKER_STARTING;
}

bool docker_parse_inspect(const char *json, size_t n, struct docker_state *s)
{
    json_t *root = json_loadb(json, n, 0, NULL);
    const json_t *state = json_object_get(root, "State");
    const json_t *health = json_object_get(state, "Health");
    const json_t *log = json_object_get(health, "Log");
    json_int_t restarts = json_integer_value(json_object_get(root, "RestartCount"));
    bool good = json_is_object(state) && json_is_boolean(json_object_get(state, "Running"));

    *s = (struct docker_state){
        .running = json_is_true(json_object_get(state, "Running")),
        .restarting = json_is_true(json_object_get(state, "Restarting")),
        .paused = json_is_true(json_object_get(state, "Paused")),
        .oom_killed = json_is_true(json_object_get(state, "OOMKilled")),
        .health = health_of(health),
        .exit_code = (int)json_integer_value(json_object_get(state, "ExitCode")),
        .restarts = restarts > 0 && restarts < UINT32_MAX ? (uint32_t)restarts : 0,
    };
    docker_json_take_text(s->started, sizeof s->started, json_object_get(state, "StartedAt"));
    docker_json_take_line(s->error, sizeof s->error, json_object_get(state, "Error"));
    if (json_array_size(log) > 0)
        docker_json_take_line(
            s->checked, sizeof s->checked,
            json_object_get(json_array_get(log, json_array_size(log) - 1), "Output"));
    json_decref(root);
    return good;
}

void docker_parse_error(const char *json, size_t n, char out[DOCKER_TEXT])
{
    json_t *root = json_loadb(json, n, 0, NULL);

    docker_json_take_line(out, DOCKER_TEXT, json_object_get(root, "message"));
    json_decref(root);
}

enum { DOCKER_ERROR = 400 }; /* bytes of an error in a description, with NUL */

/* Copies members by name, if present. */
static json_t *some_of(const json_t *from, const char *const *names)
{
    json_t *to = json_object();

    for (; *names; names++) {
        json_t *value = json_object_get(from, *names);

        if (value)
            json_object_set(to, *names, value);
    }
    return to;
}

/* Only what is known to be harmless: the output of checks is left out, because it may quote
 * anything; an error is masked. */
static json_t *describe_state(const json_t *state)
{
    static const char *const names[] = {"Status",    "Running",    "Paused", "Restarting",
                                        "OOMKilled", "Dead",       "Pid",    "ExitCode",
                                        "StartedAt", "FinishedAt", NULL};
    static const char *const of_health[] = {"Status", "FailingStreak", NULL};
    static const char *const of_check[] = {"Start", "End", "ExitCode", NULL};
    const json_t *health = json_object_get(state, "Health");
    const json_t *log = json_object_get(health, "Log");
    json_t *out = some_of(state, names), *checks = json_array();
    char error[DOCKER_ERROR];

    docker_json_take_line(error, sizeof error, json_object_get(state, "Error"));
    json_object_set_new(out, "Error", json_string(error));
    if (json_is_object(health)) {
        json_t *to = some_of(health, of_health);

        for (size_t i = 0; i < json_array_size(log); i++)
            json_array_append_new(checks, some_of(json_array_get(log, i), of_check));
        json_object_set(to, "Log", checks);
        json_object_set_new(out, "Health", to);
    }
    json_decref(checks);
    return out;
}

char *docker_describe(const char *json, size_t n)
{
    static const char *const top[] = {"Id",           "Name",     "Created", "Image",
                                      "RestartCount", "Platform", "Driver",  NULL};
    static const char *const config[] = {"Hostname",   "Image",       "User", "Tty",
                                         "StopSignal", "StopTimeout", NULL};
    static const char *const host[] = {
        "RestartPolicy", "NetworkMode", "Memory",         "MemorySwap", "NanoCpus",
        "CpuQuota",      "PidsLimit",   "OomKillDisable", "AutoRemove", NULL};
    json_t *root = json_loadb(json, n, 0, NULL);
    char *text = NULL;

    if (json_is_object(root) && json_is_object(json_object_get(root, "State"))) {
        json_t *out = some_of(root, top);

        json_object_set_new(out, "State", describe_state(json_object_get(root, "State")));
        json_object_set_new(out, "Config", some_of(json_object_get(root, "Config"), config));
        json_object_set_new(out, "HostConfig",
                            some_of(json_object_get(root, "HostConfig"), host));
        text = json_dumps(out, JSON_INDENT(2));
        json_decref(out);
    }
    json_decref(root);
    return text;
}
