/* How the command line finds the running service. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/conf/conf.h"
#include "base/escape.h"
#include "base/fd.h"
#include "shm/object.h"
#include "shm/table.h"
#include "supervisor/cli/cli.h"
#include "supervisor/pidfile.h"

static int not_running(const char *conf_file)
{
    escape_print(stderr, "pasgate: not running (%s)\n", conf_file);
    return CLI_FAILURE;
}

bool service_alive(const struct service *service)
{
    return object_holder(service->fd) == service->pid;
}

bool service_stops(const struct service *service, const char *what)
{
    struct header_row header;

    if (!header_read(&service->table->header, &header) || !header.stopping)
        return false;
    fprintf(stderr, "pasgate: the service is stopping: %s\n", what);
    return true;
}

bool service_silent(const struct service *service)
{
    unsigned s = header_silent_s(&service->table->header);

    if (s)
        fprintf(stderr,
                "pasgate: the supervisor (process %d) has not responded for %u s: the request "
                "takes effect when it continues\n",
                (int)service->pid, s);
    return s > 0;
}

/* ---- its object in /dev/shm */

enum { STRANGERS = 4 }; /* at most so many are reported */

struct search {
    struct object_trust trust;
    const char *conf_file; /* NULL: any */
    struct service *best;
    size_t rank; /* of best, in trust; lower is better */
    bool other;  /* a table with another layout was found */
    struct {
        char name[OBJECT_NAME];
        uid_t owner;
    } stranger[STRANGERS]; /* objects that were not trusted */
    int strangers;
    int error;    /* errno if an object could not be opened */
    pid_t holder; /* of the pidfile's lock; 0: nobody */
};

static void cli_service_not_opened(struct search *search, const char *name)
{
    char path[OBJECT_NAME + 16];
    struct stat st;

    if (errno == EPERM) {
        snprintf(path, sizeof path, "/dev/shm%s", name);
        if (search->strangers < STRANGERS && stat(path, &st) == 0) {
            search->stranger[search->strangers].owner = st.st_uid;
            snprintf(search->stranger[search->strangers++].name, OBJECT_NAME, "%s", name);
        }
    } else if (errno != ENOENT) {
        search->error = errno;
    }
}

/* Is this the table of the configuration file that was asked for? */
static bool is_meant(const struct table *table, const struct search *search)
{
    struct header_row header;

    return header_read(&table->header, &header) &&
           (!search->conf_file || strcmp(header.config_file, search->conf_file) == 0);
}

static int cli_service_consider(const char *name, void *context)
{
    struct search *search = context;
    size_t rank;
    struct service found = {.fd = object_open(name, &search->trust, &rank)};

    if (found.fd < 0) {
        cli_service_not_opened(search, name);
        return 0;
    }
    found.pid = object_holder(found.fd);
    found.table = found.pid > 0 ? table_map(found.fd) : NULL;
    if (found.pid > 0 && !found.table && !search->conf_file) /* else: any service's */
        search->other |= errno == EPROTO;
    if (found.table && is_meant(found.table, search) &&
        (!search->best->table || rank < search->rank)) {
        service_close(search->best);
        *search->best = found;
        search->rank = rank;
    } else {
        service_close(&found);
    }
    return 0;
}

static int not_found(const struct search *search, const char *conf_file)
{
    if (search->other) {
        fprintf(stderr, "pasgate: the running service is another version of pasgate\n");
    } else if (search->error) {
        fprintf(stderr,
                "pasgate: cannot read the table of the service: %s; root, its user and the "
                "group of that name may\n",
                strerror(search->error));
    } else {
        for (int i = 0; i < search->strangers; i++)
            escape_print(stderr, "pasgate: /dev/shm%s is ignored: it belongs to user %u\n",
                         search->stranger[i].name, (unsigned)search->stranger[i].owner);
        if (!search->holder)
            return not_running(conf_file);
        fprintf(stderr,
                "pasgate: the service runs (process %d), but its table in /dev/shm, by which "
                "commands reach it, was removed: restart the service\n",
                (int)search->holder);
    }
    return CLI_FAILURE;
}

int service_find(struct service *service, const char *conf_file)
{
    char object[TABLE_OBJECT_NAME] = "/pasgate-";
    struct conf_errors errs = {0};
    struct conf *conf = conf_load(conf_file, &errs);
    struct search search = {
        .trust = object_trust(conf && *conf->user ? conf->user : "pasgate"),
        .conf_file = conf ? NULL : conf_file,
        .best = service,
    };

    *service = (struct service){.fd = -1};
    /* The configuration may be broken at the moment, or need variables that are set for the
     * service only. Then the tables themselves say which file they belong to. */
    if (conf)
        table_object_name(object, *conf->pidfile ? conf->pidfile : conf->file);
    object_each(object, cli_service_consider, &search);
    if (conf && !service->table)
        search.holder = pidfile_holder(conf->pidfile);
    conf_errors_release(&errs);
    conf_free(conf);
    return service->table ? CLI_OK : not_found(&search, conf_file);
}

void service_close(struct service *service)
{
    table_close(service->table);
    fd_close(&service->fd);
    *service = (struct service){.fd = -1};
}

int service_backend(const struct service *service, const char *backend)
{
    char *end;
    long number = strtol(backend, &end, 10);
    struct backend_row row;
    int numbered = -1;

    /* A name may look like a number; the name has priority. */
    for (int slot = 0; slot < TABLE_BACKENDS; slot++) {
        if (!backend_read(&service->table->backend[slot], &row) || !row.configured)
            continue;
        if (strcmp(row.name, backend) == 0)
            return slot;
        if (*end == '\0' && number == slot + 1)
            numbered = slot;
    }
    if (numbered >= 0)
        return numbered;
    escape_print(stderr, "pasgate: there is no backend \"%s\"; `pasgate status` lists them\n",
                 backend);
    return -1;
}

bool service_backend_in_force(const struct service *service, int slot)
{
    struct backend_row row;
    struct header_row header;

    if (!backend_read(&service->table->backend[slot], &row) ||
        !header_read(&service->table->header, &header) ||
        row.generation <= header.config_generation)
        return true;
    escape_print(stderr,
                 "pasgate: backend %s is new in a reload that is in progress: try again when "
                 "that has ended\n",
                 row.name);
    return false;
}
