#include "healthd/restarter/docker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "healthd/restarter/tail.h"

void docker_tell_failure(struct restart_result *result, const char *container,
                         const char *socket, long status, int error, const char *trouble,
                         const char *message)
{
    if (status == 404)
        restart_tell(result, false, "there is no container %s", container);
    else if (status != 0)
        restart_tell(result, false, "the Docker Engine says HTTP %ld for container %s%s%s",
                     status, container, *message ? ": " : "", message);
    else if (error == ENOENT)
        restart_tell(result, false, "there is no Docker socket %s", socket);
    else if (error == EACCES)
        restart_tell(result, false, "no permission for the Docker socket %s", socket);
    else if (error == ECONNREFUSED)
        restart_tell(result, false, "nothing listens at the Docker socket %s", socket);
    else
        restart_tell(result, false, "Docker Engine at %s: %s", socket, trouble);
}

static enum docker_verdict look_at_health(const struct docker_state *s,
                                          struct restart_result *result)
{
    switch (s->health) {
    case DOCKER_HEALTHY:
        restart_tell(result, true, "it is healthy");
        return DOCKER_GOOD;
    case DOCKER_UNHEALTHY:
        restart_tell(result, false, "it runs, but is unhealthy%s%s", *s->checked ? ": " : "",
                     s->checked);
        return DOCKER_WAIT;
    default:
        restart_tell(result, false, "it runs, but is not healthy yet%s%s",
                     *s->checked ? ": " : "", s->checked);
        return DOCKER_WAIT;
    }
}

static void tell_loop(const struct docker_watch *w, struct restart_result *result)
{
    char code[32] = "";

    if (w->ended)
        snprintf(code, sizeof code, ", with exit code %d", w->exit_code);
    restart_tell(result, false, "it keeps ending and being started again%s", code);
}

enum docker_verdict docker_look(struct docker_watch *w, const struct docker_state *s,
                                uint64_t now_ms, struct restart_result *result)
{
    if (!w->looked || s->restarts < w->restarts) { /* at first; or the counter was reset */
        w->looked = true;
        w->restarts = s->restarts;
    }
    if (s->restarting) { /* the only time that its last exit code is shown */
        w->ended = true;
        w->exit_code = s->exit_code;
    }
    if (s->restarting || s->restarts > w->restarts) {
        tell_loop(w, result);
        if (s->restarts - w->restarts >= DOCKER_LOOP)
            return DOCKER_BAD;
    }
    if (s->restarting)
        return DOCKER_WAIT;
    if (!s->running) {
        restart_tell(result, false, "it was started and ended with exit code %d%s%s%s",
                     s->exit_code, s->oom_killed ? ", out of memory" : "",
                     *s->error ? ": " : "", s->error);
        return DOCKER_BAD;
    }
    if (strcmp(s->started, w->started) != 0) {
        memcpy(w->started, s->started, sizeof w->started);
        w->steady_ms = now_ms;
    }
    if (s->paused) {
        restart_tell(result, false, "it is paused");
        return DOCKER_WAIT;
    }
    if (*w->before && strcmp(s->started, w->before) == 0) {
        restart_tell(result, false, "it has not been restarted");
        return DOCKER_WAIT;
    }
    if (s->health != DOCKER_NO_CHECK)
        return look_at_health(s, result);
    if (now_ms - w->steady_ms >= DOCKER_STEADY_MS) {
        restart_tell(result, true, "it runs");
        return DOCKER_GOOD;
    }
    if (s->restarts == w->restarts)
        restart_tell(result, false, "it started only just now");
    return DOCKER_WAIT;
}

/* ---- logs */

static uint32_t length_of(const unsigned char header[8])
{
    return (uint32_t)header[4] << 24 | (uint32_t)header[5] << 16 | (uint32_t)header[6] << 8 |
           header[7];
}

void docker_log_add(struct docker_log *log, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part = n;

        if (!log->raw && log->left == 0) {
            log->header[log->n_header++] = (unsigned char)*bytes;
            if (log->header[0] > 2) { /* no stream has this number: this is plain text */
                log->raw = true;
                tail_add(log->into, log->header, log->n_header);
            } else if (log->n_header == sizeof log->header) {
                log->left = length_of(log->header);
                log->n_header = 0;
            }
            part = 1;
        } else {
            if (!log->raw && part > log->left)
                part = log->left;
            tail_add(log->into, bytes, part);
            log->left -= log->raw ? 0 : (uint32_t)part;
        }
        bytes += part;
        n -= part;
    }
}
