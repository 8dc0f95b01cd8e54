/* The subcommands check, reload, drain, ready and maint. All but check send a signal and watch
 * the table until it shows the result. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/escape.h"
#include "base/str.h"
#include "shm/certs.h"
#include "shm/table.h"
#include "supervisor/backend/admin_overrides.h"
#include "supervisor/cli/cert_request.h"
#include "supervisor/cli/cli.h"
#include "supervisor/examine.h"

enum {
    LOOK_US = 10000,           /* between two looks at the table */
    OVERRIDE_LIMIT_MS = 30000, /* only to store it; silence is noticed earlier */
    RELOAD_LIMIT_MS = 180000,  /* it may wait for older generations to drain */
    CERTS_LIMIT_MS = 5000,     /* then, for new certificates to be served */
};

static void cli_control_print_errors(const struct conf_errors *errs)
{
    for (size_t i = 0; i < errs->n; i++)
        escape_print(stderr, "%s\n", errs->v[i]);
}

/* In a section of their own, after all other output. */
static void print_warnings(const struct conf_errors *warnings)
{
    if (warnings->n)
        fprintf(stderr, "warnings: %zu\n", warnings->n);
    for (size_t i = 0; i < warnings->n; i++)
        escape_print(stderr, "  %s\n", warnings->v[i]);
}

static int check(const struct cli *cli, const struct conf *conf)
{
    struct conf_errors errs = {0}, warnings = {0};
    int code = CLI_CONFIG;

    examine(conf, EXAMINE_CHECK, &errs, &warnings);
    cli_control_print_errors(&errs);
    if (errs.n == 0) {
        printf("%s: good: %zu listener%s, %zu certificate%s, %zu pool%s, %zu backend%s, "
               "%zu route%s\n",
               cli->conf_file, conf->n_listen, str_plural(conf->n_listen), conf->n_certs,
               str_plural(conf->n_certs), conf->n_pools, str_plural(conf->n_pools),
               conf->n_backends, str_plural(conf->n_backends), conf->n_routes,
               str_plural(conf->n_routes));
        fflush(stdout);
        code = cli->strict && warnings.n ? CLI_CONFIG : CLI_OK;
    }
    print_warnings(&warnings);
    conf_errors_release(&errs);
    conf_errors_release(&warnings);
    return code;
}

int cli_check(const struct cli *cli)
{
    struct conf_errors errs = {0};
    int code = CLI_OK;

    if (cli->manual) {
        conf_manual(stdout);
        return CLI_OK;
    }
    struct conf *conf = conf_load(cli->conf_file, &errs);
    if (!conf) {
        code = errs.host ? CLI_FAILURE : CLI_CONFIG;
        cli_control_print_errors(&errs);
    } else if (cli->dump) {
        conf_dump(conf, stdout);
    } else {
        code = check(cli, conf);
    }
    conf_errors_release(&errs);
    conf_free(conf);
    return code;
}

static int cannot_signal(const struct service *service)
{
    fprintf(stderr, "pasgate: cannot signal process %d: %s\n", (int)service->pid,
            strerror(errno));
    return CLI_FAILURE;
}

static int cli_control_lost(void)
{
    fprintf(stderr, "pasgate: the service ended meanwhile\n");
    return CLI_FAILURE;
}

/* ---- reload */

/* The errors that the service found are found again by reading the same file, because the table
 * has room for the first one only. */
static int tell_failure(const struct header_row *h, const struct conf *conf,
                        struct conf_errors *errs, struct conf_errors *warnings)
{
    bool config = !conf && !errs->host;

    fprintf(stderr, "pasgate: reload failed, generation %u stays in use:\n",
            h->config_generation);
    if (conf) {
        examine(conf, EXAMINE_RELOAD, errs, warnings);
        config = errs->n > 0;
    }
    if (config && h->reload_nerrors > 1)
        cli_control_print_errors(errs);
    else
        escape_print(stderr, "%s\n", h->reload_error);
    return config ? CLI_CONFIG : CLI_FAILURE;
}

static bool certs_served(const struct table *table)
{
    struct cert_row cert;

    for (uint32_t i = 0; i < table_certs(table); i++) {
        uint32_t loaded, workers;

        if (!cert_read(&table->cert[i], &cert) || !cert.generation)
            continue;
        cert_loaded(table, i, cert.generation, &loaded, &workers);
        if (loaded < workers)
            return false;
    }
    return true;
}

/* Who reloads for the sake of a certificate wants to hear when that is served. acmed is
 * replaced after the workers, and then has each new pair tested by one of them. */
static void wait_for_certs(const struct service *service)
{
    uint64_t limit = clock_mono_ms() + CERTS_LIMIT_MS;

    if (table_certs(service->table) == 0)
        return;
    cert_request_settle(service, CERTS_LIMIT_MS);
    while (!certs_served(service->table) && clock_mono_ms() < limit && service_alive(service))
        usleep(LOOK_US);
}

static int tell_reload(const struct cli *cli, const struct service *service,
                       const struct header_row *h)
{
    struct conf_errors errs = {0}, warnings = {0};
    struct conf *conf = conf_load(cli->conf_file, &errs);
    int code = CLI_OK;

    if (!h->reload_ok) {
        code = tell_failure(h, conf, &errs, &warnings);
    } else {
        wait_for_certs(service);
        printf("reloaded: generation %u is live\n", h->config_generation);
        fflush(stdout);
        if (conf)
            examine(conf, EXAMINE_RELOAD, &errs, &warnings);
    }
    print_warnings(&warnings);
    conf_errors_release(&errs);
    conf_errors_release(&warnings);
    conf_free(conf);
    return code;
}

/* Waits for the result of our own signal: if a reload is in progress already, that is the one
 * after it. */
static int watch_reload(const struct cli *cli, const struct service *service,
                        const struct header_row *before)
{
    uint64_t limit = clock_mono_ms() + RELOAD_LIMIT_MS;
    uint32_t wanted = before->reloads + before->reload_failures + (before->reloading ? 2 : 1);
    struct header_row now;

    while (clock_mono_ms() < limit) {
        if (header_read(&service->table->header, &now) &&
            now.reloads + now.reload_failures >= wanted)
            return tell_reload(cli, service, &now);
        if (!service_alive(service))
            return cli_control_lost();
        if (service_stops(service, "nothing is reloaded") || service_silent(service))
            return CLI_FAILURE;
        usleep(LOOK_US);
    }
    fprintf(stderr,
            "pasgate: no result of the reload after %d s: the service still waits, for older "
            "workers to finish perhaps, and reloads then: see its log\n",
            RELOAD_LIMIT_MS / 1000);
    return CLI_FAILURE;
}

/* HUP; or USR2, if its program was replaced on disk: then the service becomes the new one, and
 * reloads. Who may not look gets a reload. */
static int signal_for_reload(pid_t pid)
{
    static const char gone[] = " (deleted)";
    char link[32], path[PATH_MAX + sizeof gone];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    if ((size_t)(n > 0 ? n : 0) < sizeof gone ||
        strcmp(path + n - (sizeof gone - 1), gone) != 0)
        return SIGHUP;
    path[n - (ssize_t)(sizeof gone - 1)] = '\0';
    return access(path, X_OK) == 0 ? SIGUSR2 : SIGHUP;
}

int cli_reload(const struct cli *cli)
{
    struct service service;
    struct header_row before;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    if (!header_read(&service.table->header, &before))
        code = cli_control_lost();
    else if (kill(service.pid, signal_for_reload(service.pid)) < 0)
        code = cannot_signal(&service);
    else
        code = watch_reload(cli, &service, &before);
    service_close(&service);
    return code;
}

/* ---- overrides */

/* The override is in force already; this says when it will not survive a restart. */
static void tell_saved(enum saved saved)
{
    if (saved == SAVED_NOT)
        fprintf(stderr,
                "pasgate: this cannot be stored and is lost if the service restarts; "
                "storing is retried every %d s: see its log\n",
                ADMIN_OVERRIDES_RETRY_MS / 1000);
    else if (saved == SAVED_NOWHERE)
        fprintf(
            stderr,
            "pasgate: this is lost if the service restarts, because acme.store is not set\n");
}

/* The override takes effect first and is stored then; this waits for both. */
static int watch_override(const struct service *service, int slot, enum admin_state override,
                          uint32_t saves)
{
    uint64_t limit = clock_mono_ms() + OVERRIDE_LIMIT_MS;
    struct admin_row admin;
    struct backend_row backend;
    struct header_row header;

    while (clock_mono_ms() < limit) {
        if (admin_read(&service->table->admin[slot], &admin) && admin.override == override &&
            !(override == ADMIN_READY &&
              (admin.heal == RECOVERY_HOLD || admin.heal == RECOVERY_DRAINING)) &&
            header_read(&service->table->header, &header) && header.saves != saves &&
            backend_read(&service->table->backend[slot], &backend)) {
            escape_print(stdout, "backend %d %s: %s\n", slot + 1, backend.name,
                         admin_state_name(override));
            fflush(stdout);
            tell_saved(header.saved);
            return CLI_OK;
        }
        if (!service_alive(service))
            return cli_control_lost();
        if (service_silent(service))
            return CLI_FAILURE;
        usleep(LOOK_US);
    }
    fprintf(stderr, "pasgate: the service did not accept it: see its log\n");
    return CLI_FAILURE;
}

static int override(const struct cli *cli, enum admin_state state, int signal_offset)
{
    struct service service;
    struct header_row before;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    int slot = service_backend(&service, cli->backend);
    union sigval number = {.sival_int = slot + 1};
    if (slot < 0)
        code = CLI_USAGE;
    else if (!service_backend_in_force(&service, slot))
        code = CLI_FAILURE;
    else if (!header_read(&service.table->header, &before))
        code = cli_control_lost();
    else if (sigqueue(service.pid, SIGRTMIN + signal_offset, number) < 0)
        code = cannot_signal(&service);
    else
        code = watch_override(&service, slot, state, before.saves);
    if (code == CLI_OK && cli->wait)
        code = cli_drain_wait(&service, slot);
    else if (code == CLI_OK && state == ADMIN_DRAIN)
        printf("`pasgate status` shows its progress, `pasgate drain %s --wait` waits for its "
               "end\n",
               cli->backend);
    service_close(&service);
    return code;
}

int cli_drain(const struct cli *cli)
{
    return override(cli, ADMIN_DRAIN, 1);
}

int cli_ready(const struct cli *cli)
{
    return override(cli, ADMIN_READY, 2);
}

int cli_maint(const struct cli *cli)
{
    return override(cli, ADMIN_MAINT, 4);
}
