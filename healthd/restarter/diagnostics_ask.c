/* What others report about an unhealthy backend: the Docker Engine, and PAS itself by its
 * HealthScanner and its oemanager (the paths are those of PAS for OpenEdge 12). An unhealthy
 * one often sends no response, which is recorded too. */
#include <arpa/inet.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/str.h"
#include "healthd/restarter/diagnostics.h"
#include "healthd/restarter/docker.h"
#include "healthd/restarter/fetch.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"
#include "shm/heritage.h"

enum {
    IPC_MS = 2000,         /* for one response */
    BODY_MAX = 256 * 1024, /* of one response */
    LOG_LINES = 500,       /* of the container's log */
    SCANNER_PORT = 8899,   /* psc.as.healthcheck.port */
    APPLICATIONS = 2,      /* ABL applications that are queried */
    AGENTS = 4,            /* agents of one application whose sessions and stacks are queried */
    QUESTIONS = 32,        /* requests at one time */
    URL_MAX = 256,
    NOBODY = 65534, /* user and group without any rights */
};

/* Several requests that are sent together. */
struct round {
    struct fetch fetch[QUESTIONS];
    char url[QUESTIONS][URL_MAX];
    size_t n;
    const struct conf_pool *pool; /* of the backend, for questions to its own port */
};

__attribute__((format(printf, 2, 3))) static struct fetch *add(struct round *round,
                                                               const char *fmt, ...)
{
    va_list ap;

    if (round->n == QUESTIONS)
        return NULL;
    struct fetch *f = &round->fetch[round->n];
    char *url = round->url[round->n];
    va_start(ap, fmt);
    vsnprintf(url, URL_MAX, fmt, ap);
    va_end(ap);
    *f = (struct fetch){.url = url, .limit_ms = IPC_MS, .max_body = BODY_MAX};
    round->n++;
    return f;
}

static void release(struct round *round)
{
    for (size_t i = 0; i < round->n; i++)
        fetch_release(&round->fetch[i]);
    round->n = 0;
}

/* One request and its response, without secrets. */
static void print_reply(FILE *out, const struct fetch *f)
{
    char *text = f->n_body ? diagnostics_harmless(f->body, f->n_body) : NULL;

    fprintf(out, "GET %s\n", f->url);
    if (f->status)
        fprintf(out, "HTTP %ld after %u ms%s\n", f->status, f->took_ms,
                f->cut ? ", incomplete" : "");
    if (*f->trouble)
        fprintf(out, "%s\n", f->trouble);
    if (text)
        fprintf(out, "%s\n", text);
    else if (f->n_body)
        fprintf(out, "(not JSON: %zu byte%s)\n", f->n_body, str_plural(f->n_body));
    fputc('\n', out);
    free(text);
}

/* ---- the container */

static void diagnostics_ask_write_file(struct diagnostics *ev, const char *name,
                                       const char *bytes, size_t n)
{
    diagnostics_finish(ev, name, diagnostics_create(ev, name), bytes, n);
}

static void write_docker(struct diagnostics *ev, const struct fetch *inspect,
                         const struct fetch *log, struct tail *tail)
{
    const char *name = ev->call->backend->restart_docker;
    const char *socket = ev->call->backend->restart_socket;
    char message[DOCKER_TEXT], line[TABLE_REASON + 32];
    struct restart_result result;
    size_t n;
    char *text = docker_describe(inspect->body, inspect->n_body);

    if (text) {
        diagnostics_ask_write_file(ev, "inspect.json", text, strlen(text));
        free(text);
    }
    if (log->status / 100 != 2) {
        docker_parse_error(log->body, log->n_body, message);
        docker_tell_failure(&result, name, socket, log->status, log->error, log->trouble,
                            message);
        n = (size_t)snprintf(line, sizeof line, "(not read: %s)\n", result.text);
        tail_add(tail, line, n);
    } else if (*log->trouble) {
        n = (size_t)snprintf(line, sizeof line, "\n(not read to its end: %s)\n", log->trouble);
        tail_add(tail, line, n);
    }
    const char *bytes = tail_bytes(tail, &n);
    diagnostics_ask_write_file(ev, "container.log", bytes, n);
}

static void log_bytes(void *arg, const char *bytes, size_t n)
{
    docker_log_add(arg, bytes, n);
}

static struct fetch *ask_docker(struct round *round, const struct conf_backend *b,
                                struct docker_log *log)
{
    struct fetch *inspect =
        add(round, "http://localhost/containers/%s/json", b->restart_docker);
    struct fetch *f = add(round,
                          "http://localhost/containers/%s/"
                          "logs?stdout=1&stderr=1&timestamps=1&tail=%d",
                          b->restart_docker, LOG_LINES);

    inspect->socket = f->socket = b->restart_socket;
    inspect->max_body = DIAGNOSTICS_FILE;
    f->sink = log_bytes;
    f->arg = log;
    return inspect;
}

/* ---- PAS */

/* "10.0.0.5" or "[fd00::5]": where it was last seen; false: not known. */
static bool where(const struct diagnostics *ev, char ip[INET6_ADDRSTRLEN + 2])
{
    const struct table *table = ev->heritage->table;
    int slot = ev->heritage->backend_slot[ev->heritage->action.backend];
    struct health_row health;
    struct backend_row backend;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&health.address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&health.address;

    if (!health_read(&table->health[slot], &health) || !health.has_address ||
        !backend_read(&table->backend[slot], &backend) || health.identity != backend.identity)
        return false;
    if (health.address.ss_family == AF_UNIX) /* it is on this host */
        return snprintf(ip, INET6_ADDRSTRLEN, "127.0.0.1") > 0;
    if (health.address.ss_family == AF_INET)
        return inet_ntop(AF_INET, &v4->sin_addr, ip, INET6_ADDRSTRLEN) != NULL;
    if (health.address.ss_family != AF_INET6 ||
        !inet_ntop(AF_INET6, &v6->sin6_addr, ip + 1, INET6_ADDRSTRLEN))
        return false;
    ip[0] = '[';
    strcat(ip, "]");
    return true;
}

static bool checks_scanner(const struct conf_check *check)
{
    return check->port != 0 && strncmp(check->path, "/health", 7) == 0;
}

/* Is it a PAS, as far as the configuration tells? */
static bool is_pas(const struct conf_check *check, const struct conf_backend *b)
{
    return check->type == CONF_CHECK_PASOE || *b->restart_oemanager || checks_scanner(check);
}

static struct fetch *ask_manager(struct round *round, const struct conf_backend *b,
                                 const char *ip, const char *host, const char *path)
{
    struct fetch *f = add(round, "%s://%s:%u/oemanager/applications%s",
                          round->pool->tls.enabled ? "https" : "http", ip, b->port, path);

    if (f) {
        f->to = round->pool;
        f->backend = b;
        f->at = ip;
        f->port = b->port;
        f->path = strstr(f->url, "/oemanager/");
        f->host = host;
        f->login = *b->restart_oemanager ? b->restart_oemanager : NULL;
    }
    return f;
}

static void print_round(FILE *out, struct round *round)
{
    for (size_t i = 0; i < round->n; i++)
        print_reply(out, &round->fetch[i]);
}

/* Queries the applications, then the agents of these. */
static void ask_further(struct round *round, FILE *out, const struct fetch *applications,
                        const struct conf_backend *b, const char *ip, uint64_t deadline_ms)
{
    static const char *const of_application[] = {"agents", "metrics", "requests"};
    static const char *const of_agent[] = {"sessions", "requests", "stacks"};
    char app[APPLICATIONS][DIAGNOSTICS_ID], agent[AGENTS][DIAGNOSTICS_ID], path[URL_MAX];
    size_t n =
        diagnostics_applications(applications->body, applications->n_body, app, APPLICATIONS);
    const char *host = applications->host;
    uint64_t now = clock_mono_ms();
    struct round second = {.pool = round->pool};

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof of_application / sizeof *of_application; k++) {
            snprintf(path, sizeof path, "/%s/%s", app[i], of_application[k]);
            ask_manager(&second, b, ip, host, path);
        }
    if (second.n == 0 || now >= deadline_ms)
        return;
    fetch_all(second.fetch, second.n, (uint32_t)(deadline_ms - now));
    print_round(out, &second);
    for (size_t i = 0; i < n; i++) {
        const struct fetch *agents = &second.fetch[i * 3];
        size_t m = diagnostics_agents(agents->body, agents->n_body, agent, AGENTS);

        for (size_t j = 0; j < m; j++)
            for (size_t k = 0; k < sizeof of_agent / sizeof *of_agent; k++) {
                snprintf(path, sizeof path, "/%s/agents/%s/%s", app[i], agent[j], of_agent[k]);
                ask_manager(round, b, ip, host, path);
            }
    }
    now = clock_mono_ms();
    if (round->n > 0 && now < deadline_ms) {
        fetch_all(round->fetch, round->n, (uint32_t)(deadline_ms - now));
        print_round(out, round);
    }
    release(&second);
}

static void ask_pas(struct round *round, const struct conf_check *check,
                    const struct conf_backend *b, const char *ip, const char *host)
{
    unsigned port = checks_scanner(check) ? check->port : SCANNER_PORT;

    add(round, "http://%s:%u/health?view=details", ip, port);
    add(round, "http://%s:%u/health?view=dataset", ip, port);
    ask_manager(round, b, ip, host, "");
}

/* Writes the text of a memory stream into a file that is already open. */
static void finish_text(struct diagnostics *ev, const char *name, int fd, FILE *out,
                        char **text, size_t *n)
{
    bool good = out && fclose(out) == 0;

    diagnostics_finish(ev, name, fd, good ? *text : "", good ? *n : 0);
    free(*text);
    *text = NULL;
}

static void write_pas(struct diagnostics *ev, struct round *round, int scanner, int manager,
                      const char *ip, uint64_t deadline_ms)
{
    static struct round further;
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    for (int i = 0; out && i < 2; i++)
        print_reply(out, &round->fetch[i]);
    finish_text(ev, "healthscanner", scanner, out, &text, &n);
    if ((out = open_memstream(&text, &n)) != NULL) {
        print_reply(out, &round->fetch[2]);
        further.pool = round->pool;
        ask_further(&further, out, &round->fetch[2], ev->call->backend, ip, deadline_ms);
        release(&further);
    }
    finish_text(ev, "oemanager", manager, out, &text, &n);
}

/* true: without root rights from now on; false: still root. */
static bool become_nobody(void)
{
    return geteuid() != 0 ||
           (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
            setresuid(NOBODY, NOBODY, NOBODY) == 0);
}

/* ---- both */

void diagnostics_of_docker(struct diagnostics *ev, uint32_t limit_ms)
{
    static struct round round;
    const struct conf_backend *b = ev->call->backend;
    struct tail tail = {0};
    struct docker_log log = {.into = &tail};

    if (ev->dir < 0 || !*b->restart_docker || tail_init(&tail, DIAGNOSTICS_FILE) < 0)
        return;
    struct fetch *inspect = ask_docker(&round, b, &log);
    fetch_all(round.fetch, round.n, limit_ms);
    write_docker(ev, inspect, inspect + 1, &tail);
    release(&round);
    tail_release(&tail);
}

void diagnostics_of_pas(struct diagnostics *ev, uint32_t limit_ms)
{
    static struct round round;
    uint64_t deadline = clock_mono_ms() + limit_ms;
    const struct conf_backend *b = ev->call->backend;
    const struct conf_check *check = &ev->heritage->conf->pools[b->pool].check;
    char ip[INET6_ADDRSTRLEN + 2], host[CONF_ADDRESS_LEN];

    if (ev->dir < 0 || !is_pas(check, b) || !where(ev, ip))
        return;
    int scanner = diagnostics_create(ev, "healthscanner");
    int manager = diagnostics_create(ev, "oemanager");
    if (!become_nobody()) {
        static const char why[] = "(not asked: root privileges cannot be dropped here)\n";

        diagnostics_finish(ev, "healthscanner", scanner, why, sizeof why - 1);
        diagnostics_finish(ev, "oemanager", manager, why, sizeof why - 1);
        return;
    }
    if (*b->socket)
        snprintf(host, sizeof host, "%s", b->host);
    else
        conf_backend_address(b, host);
    round.pool = &ev->heritage->conf->pools[b->pool];
    ask_pas(&round, check, b, ip, host);
    fetch_all(round.fetch, round.n, limit_ms);
    write_pas(ev, &round, scanner, manager, ip, deadline);
    release(&round);
}
