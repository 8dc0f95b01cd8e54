/* Subcommands that change something: check, reload, drain, ready, maint. Each
 * sends a signal and watches the table until it shows the result. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "shm/table.h"
#include "supervisor/cli.h"

enum {
    LOOK_US = 10000,          /* between two looks at the table */
    WISH_LIMIT_MS = 5000,     /* the supervisor only has to store it */
    RELOAD_LIMIT_MS = 180000, /* it may wait for older generations to drain */
};

static void print_errors(const struct conf_errors *errs)
{
    for (size_t i = 0; i < errs->n; i++)
        fprintf(stderr, "%s\n", errs->v[i]);
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
        print_errors(&errs);
        code = CLI_CONFIG;
    } else if (cli->dump) {
        conf_dump(conf, stdout);
    } else {
        printf("%s: good: %zu listeners, %zu certificates, %zu pools, %zu backends, "
               "%zu routes\n",
               cli->conf_file, conf->n_listen, conf->n_certs, conf->n_pools, conf->n_backends,
               conf->n_routes);
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

static int lost(void)
{
    fprintf(stderr, "pasgate: the service ended meanwhile\n");
    return CLI_FAILURE;
}

/* ---- reload */

static int tell_reload(const struct cli *cli, const struct header_row *h)
{
    struct conf_errors errs = {0};
    int code = CLI_FAILURE;

    if (h->reload_ok) {
        printf("reloaded: generation %u is live\n", h->config_generation);
        return CLI_OK;
    }
    fprintf(stderr, "pasgate: reload failed, generation %u goes on:\n", h->config_generation);
    /* The table has room for the first error only; the others are found by
     * reading the same file again. */
    struct conf *conf = conf_load(cli->conf_file, &errs);
    if (!conf)
        code = CLI_CONFIG;
    if (!conf && h->reload_nerrors > 1)
        print_errors(&errs);
    else
        fprintf(stderr, "%s\n", h->reload_error);
    conf_errors_release(&errs);
    conf_free(conf);
    return code;
}

/* Waits for the result of our own signal: when a reload is on its way already,
 * that is the one after it. */
static int watch_reload(const struct cli *cli, const struct service *service,
                        const struct header_row *before)
{
    uint64_t limit = clock_mono_ms() + RELOAD_LIMIT_MS;
    uint32_t wanted = before->reloads + before->reload_failures + (before->reloading ? 2 : 1);
    struct header_row now;

    while (clock_mono_ms() < limit) {
        if (header_read(&service->table->header, &now) &&
            now.reloads + now.reload_failures >= wanted)
            return tell_reload(cli, &now);
        if (!service_alive(service))
            return lost();
        usleep(LOOK_US);
    }
    fprintf(stderr, "pasgate: no result of the reload after %d s; see its log\n",
            RELOAD_LIMIT_MS / 1000);
    return CLI_FAILURE;
}

int cli_reload(const struct cli *cli)
{
    struct service service;
    struct header_row before;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    if (!header_read(&service.table->header, &before))
        code = lost();
    else if (kill(service.pid, SIGHUP) < 0)
        code = cannot_signal(&service);
    else
        code = watch_reload(cli, &service, &before);
    service_close(&service);
    return code;
}

/* ---- wishes */

static int watch_wish(const struct service *service, int slot, enum admin_state wish)
{
    uint64_t limit = clock_mono_ms() + WISH_LIMIT_MS;
    struct admin_row admin;
    struct backend_row backend;

    while (clock_mono_ms() < limit) {
        if (admin_read(&service->table->admin[slot], &admin) && admin.wish == wish &&
            !(wish == ADMIN_READY &&
              (admin.heal == HEAL_HOLD || admin.heal == HEAL_DRAINING)) &&
            backend_read(&service->table->backend[slot], &backend)) {
            printf("backend %d %s: %s\n", slot + 1, backend.name, admin_state_name(wish));
            return CLI_OK;
        }
        if (!service_alive(service))
            return lost();
        usleep(LOOK_US);
    }
    fprintf(stderr, "pasgate: the service did not take it: see its log\n");
    return CLI_FAILURE;
}

static int wish(const struct cli *cli, enum admin_state state, int signal_offset)
{
    struct service service;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    int slot = service_backend(&service, cli->backend);
    union sigval number = {.sival_int = slot + 1};
    if (slot < 0)
        code = CLI_USAGE;
    else if (sigqueue(service.pid, SIGRTMIN + signal_offset, number) < 0)
        code = cannot_signal(&service);
    else
        code = watch_wish(&service, slot, state);
    if (code == CLI_OK && cli->wait)
        code = cli_drain_wait(&service, slot);
    else if (code == CLI_OK && state == ADMIN_DRAIN)
        printf("`pasgate status` shows how far it is, `pasgate drain %s --wait` waits for its "
               "end\n",
               cli->backend);
    service_close(&service);
    return code;
}

int cli_drain(const struct cli *cli)
{
    return wish(cli, ADMIN_DRAIN, 1);
}

int cli_ready(const struct cli *cli)
{
    return wish(cli, ADMIN_READY, 2);
}

int cli_maint(const struct cli *cli)
{
    return wish(cli, ADMIN_MAINT, 4);
}
