#include "supervisor/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/errors.h"

/* The other half of the rows is for the new workers of a reload. */
enum { WORKERS_MOST = TABLE_WORKERS / 2 };

/* O_NONBLOCK: opening a FIFO would wait for its reader. */
enum { ACCESS_FLAGS = O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK };

static int open_access(const struct conf_log *log, int *fd)
{
    *fd = -1;
    switch (log->access) {
    case CONF_ACCESS_OFF:
    case CONF_ACCESS_SYSLOG: /* the worker opens that itself */
        return 0;
    case CONF_ACCESS_STDOUT:
        *fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        break;
    case CONF_ACCESS_STDERR:
        *fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        break;
    case CONF_ACCESS_FILE:
        *fd = open(log->access_file, ACCESS_FLAGS | O_WRONLY, 0640);
        if (*fd < 0 && errno == ENXIO) /* a FIFO without a reader: opened for reading too, it
                                          need not have one */
            *fd = open(log->access_file, ACCESS_FLAGS | O_RDWR, 0640);
        break;
    }
    return *fd < 0 ? -1 : 0;
}

static uint32_t count_workers(const struct conf *conf)
{
    if (conf->workers <= WORKERS_MOST)
        return conf->workers;
    log_warn("workers: %u are too many; at most %u can be started, because a reload needs room "
             "for as many again",
             conf->workers, WORKERS_MOST);
    return WORKERS_MOST;
}

static bool take_slots(struct generation *g, struct conf_errors *errs)
{
    const char *names[CONF_MAX_BACKENDS];

    CHECK(g->conf->n_backends <= CONF_MAX_BACKENDS);
    for (size_t i = 0; i < g->conf->n_backends; i++)
        names[i] = g->conf->backends[i].name;
    g->slots_taken =
        slots_acquire(g->slots, names, (uint32_t)g->conf->n_backends, g->backend_slot);
    if (!g->slots_taken)
        errors_add(errs,
                   "no free slots for %zu backends: at most %d, including those of workers "
                   "that still drain; try again later",
                   g->conf->n_backends, TABLE_BACKENDS);
    return g->slots_taken;
}

/* All certificates, including temporary ones, are in the store. */
static void make_store(struct generation *g, struct conf_errors *errs)
{
    const char *store = g->conf->acme.store;

    if (g->conf->n_certs == 0 || *store == '\0')
        return;
    if (privilege_make_store(store, &g->identity) < 0)
        errors_add(errs, "acme.store: %s: %s; it must be a directory that %s can write to",
                   store, strerror(errno), g->identity.name);
}

struct generation *generation_new(struct conf *conf, uint32_t number, struct slots *slots,
                                  struct listeners *all, struct conf_errors *errs)
{
    struct generation *g = calloc(1, sizeof *g);
    size_t errors_before = errs->n;

    CHECK(g);
    *g = (struct generation){
        .number = number, .refs = 1, .conf = conf, .slots = slots, .all = all, .access_fd = -1};
    g->workers = count_workers(conf);
    if (identity_find(&g->identity, conf->user) < 0)
        errors_add(errs, "%s: user: there is no user \"%s\"", conf->file,
                   *conf->user ? conf->user : "nobody");
    else
        make_store(g, errs);
    if (open_access(&conf->log, &g->access_fd) < 0)
        errors_add(errs, "log.access: %s: %s", conf->log.access_file, strerror(errno));
    take_slots(g, errs);
    if (errs->n == errors_before) /* last, because others can see it */
        listeners_take(all, conf, g->workers, &g->listeners, errs);
    if (errs->n == errors_before)
        return g;
    generation_unref(g);
    return NULL;
}

struct generation *generation_ref(struct generation *generation)
{
    generation->refs++;
    return generation;
}

void generation_unref(struct generation *g)
{
    if (!g || --g->refs > 0)
        return;
    listeners_give(g->all, &g->listeners);
    if (g->slots_taken)
        slots_release(g->slots, g->backend_slot, (uint32_t)g->conf->n_backends);
    fd_close(&g->access_fd);
    conf_free(g->conf);
    free(g);
}

int generation_reopen_access(struct generation *g)
{
    int fd;

    if (open_access(&g->conf->log, &fd) < 0)
        return -1;
    fd_close(&g->access_fd);
    g->access_fd = fd;
    return 0;
}
