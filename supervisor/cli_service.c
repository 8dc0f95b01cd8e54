/* How the command line finds the running service. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "shm/table.h"
#include "supervisor/cli.h"
#include "supervisor/pidfile.h"

static int not_running(const char *conf_file)
{
    fprintf(stderr, "pasgate: not running (%s)\n", conf_file);
    return CLI_FAILURE;
}

static int cannot(const char *what)
{
    fprintf(stderr, "pasgate: %s: %s\n", what, strerror(errno));
    return CLI_FAILURE;
}

bool service_alive(const struct service *service)
{
    return kill(service->pid, 0) == 0 || errno == EPERM;
}

/* The pid that the table names, when it is about this file. */
static pid_t pid_in_table(const struct table *table, const char *conf_file)
{
    struct header_row header;

    if (!header_read(&table->header, &header) ||
        (conf_file && strcmp(header.config_file, conf_file) != 0))
        return 0;
    return header.pid;
}

/* The configuration may be broken at the moment, or need variables that are
 * set for the service only: the tables themselves say whose they are. */
static int find_by_table(struct service *service, const char *conf_file)
{
    DIR *dir = opendir("/dev/shm");
    const struct dirent *entry;
    char name[TABLE_OBJECT_NAME];

    while (dir && !service->table && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "pasgate-", 8) != 0 ||
            snprintf(name, sizeof name, "/%s", entry->d_name) >= (int)sizeof name)
            continue;
        service->table = table_open(name);
        if (!service->table)
            continue;
        service->pid = pid_in_table(service->table, conf_file);
        if (service->pid <= 0 || !service_alive(service))
            service_close(service);
    }
    if (dir)
        closedir(dir);
    return service->table ? CLI_OK : not_running(conf_file);
}

static int find_by_conf(struct service *service, const struct conf *conf)
{
    const char *key = *conf->pidfile ? conf->pidfile : conf->file;
    char object[TABLE_OBJECT_NAME];

    if (*conf->pidfile) {
        service->pid = pidfile_read(conf->pidfile);
        if (service->pid < 0)
            return cannot(conf->pidfile);
        if (service->pid == 0)
            return not_running(conf->file);
    }
    service->table = table_open(table_object_name(object, key));
    if (!service->table) {
        if (errno == ENOENT)
            return not_running(conf->file);
        if (errno == EPROTO)
            fprintf(stderr, "pasgate: the running service is another version of pasgate\n");
        else
            cannot(object);
        return CLI_FAILURE;
    }
    if (!*conf->pidfile)
        service->pid = pid_in_table(service->table, NULL);
    return service->pid > 0 && service_alive(service) ? CLI_OK : not_running(conf->file);
}

int service_find(struct service *service, const char *conf_file)
{
    struct conf_errors errs = {0};
    struct conf *conf = conf_load(conf_file, &errs);
    int code;

    *service = (struct service){0};
    code = conf ? find_by_conf(service, conf) : find_by_table(service, conf_file);
    conf_errors_release(&errs);
    conf_free(conf);
    if (code != CLI_OK)
        service_close(service);
    return code;
}

void service_close(struct service *service)
{
    table_close(service->table);
    *service = (struct service){0};
}

int service_backend(const struct service *service, const char *backend)
{
    char *end;
    long number = strtol(backend, &end, 10);
    struct backend_row row;
    int numbered = -1;

    /* A name may be a number too, and then it is a name. */
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
    fprintf(stderr, "pasgate: there is no backend \"%s\"; `pasgate status` lists them\n",
            backend);
    return -1;
}
