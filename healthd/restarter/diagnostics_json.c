/* JSON in the diagnostics. Bodies are bounded where they are read; what is nested deeper
 * than DEPTH is cut off. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/str.h"
#include "healthd/restarter/diagnostics.h"
#include "healthd/restarter/mask.h"
#include "healthd/restarter/restart.h"

enum { DEPTH = 32 };

char *diagnostics_incident(const struct restart_call *call, uint64_t wall_ms)
{
    const struct conf_backend *b = call->backend;
    char when[CLOCK_ISO_SIZE];
    /* Only the program of a command, because its arguments may hold a password. */
    json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s}", "incident",
                             call->incident, "time", clock_iso(when, wall_ms), "backend",
                             b->name, "pool", call->pool, "host", b->host, "port", (int)b->port,
                             "reason", call->reason, *b->restart_docker ? "docker" : "command",
                             *b->restart_docker     ? b->restart_docker
                             : b->n_restart_command ? b->restart_command[0]
                                                    : "",
                             "pasgate", PASGATE_VERSION);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;

    json_decref(root);
    return text;
}

/* ---- names */

static bool plain_name(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

    return n > 0 && n < DIAGNOSTICS_ID && s[n] == '\0' && s[0] != '.';
}

static size_t diagnostics_json_add_name(char out[][DIAGNOSTICS_ID], size_t n, size_t max,
                                        const json_t *value)
{
    char number[24];
    const char *s = json_string_value(value);

    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        s = number;
    }
    if (!s || n >= max || !plain_name(s))
        return n;
    memcpy(out[n], s, strlen(s) + 1);
    return n + 1;
}

size_t diagnostics_applications(const char *json, size_t size, char out[][DIAGNOSTICS_ID],
                                size_t max)
{
    json_t *root = json_loadb(json, size, 0, NULL);
    json_t *result = json_object_get(root, "result");
    size_t n = 0;

    /* The name of the list differs between releases. */
    for (void *at = json_object_iter(result); at && n == 0;
         at = json_object_iter_next(result, at)) {
        const json_t *list = json_object_iter_value(at);

        for (size_t i = 0; i < json_array_size(list); i++)
            n = diagnostics_json_add_name(out, n, max,
                                          json_object_get(json_array_get(list, i), "name"));
    }
    json_decref(root);
    return n;
}

size_t diagnostics_agents(const char *json, size_t size, char out[][DIAGNOSTICS_ID], size_t max)
{
    json_t *root = json_loadb(json, size, 0, NULL);
    const json_t *agents = json_object_get(json_object_get(root, "result"), "agents");
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(agents); i++) {
        const json_t *agent = json_array_get(agents, i);
        const json_t *id = json_object_get(agent, "agentId");

        n = diagnostics_json_add_name(out, n, max, id ? id : json_object_get(agent, "pid"));
    }
    json_decref(root);
    return n;
}

/* ---- secrets */

static bool has_word(const char *key, const char *word)
{
    size_t n = strlen(word);

    for (size_t left = strlen(key); left >= n; key++, left--)
        if (mem_eq_case(key, word, n))
            return true;
    return false;
}

/* A URL without its query and parameters. */
static json_t *bare_url(const char *url)
{
    return json_stringn(url, strcspn(url, "?;"));
}

static json_t *harmless(json_t *value, int depth);

static json_t *harmless_member(const char *key, json_t *value, int depth)
{
    if (mask_is_secret(key, strlen(key)))
        return json_string("(left out)");
    if (json_is_string(value) && (has_word(key, "url") || has_word(key, "uri")))
        return bare_url(json_string_value(value));
    return harmless(value, depth);
}

static json_t *harmless(json_t *value, int depth)
{
    json_t *out;

    if (!json_is_object(value) && !json_is_array(value))
        return json_incref(value);
    if (depth == 0)
        return json_string("(nested too deeply)");
    if (json_is_object(value)) {
        out = json_object();
        for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at)) {
            const char *key = json_object_iter_key(at);

            json_object_set_new(out, key,
                                harmless_member(key, json_object_iter_value(at), depth - 1));
        }
        return out;
    }
    out = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(out, harmless(json_array_get(value, i), depth - 1));
    return out;
}

char *diagnostics_harmless(const char *json, size_t n)
{
    json_t *root = json_loadb(json, n, 0, NULL);
    json_t *out = root ? harmless(root, DEPTH) : NULL;
    char *text = out ? json_dumps(out, JSON_INDENT(1)) : NULL;

    json_decref(out);
    json_decref(root);
    return text;
}
