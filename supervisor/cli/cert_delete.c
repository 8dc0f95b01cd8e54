/* `pasgate cert delete NAME --force`: deletes a certificate that is no longer configured from
 * the store. It works on the store itself, as the user who owns it, whether or not a service is
 * running: a service writes only what its configuration names. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "acmed/cert/revoked.h"
#include "acmed/cert/store_delete.h"
#include "base/conf/conf.h"
#include "base/escape.h"
#include "base/fd.h"
#include "base/str.h"
#include "shm/certs.h"
#include "shm/status/status.h"
#include "supervisor/cli/cli.h"
#include "supervisor/privilege.h"

/* ---- when there is no such certificate */

struct others {
    const struct conf *conf;
    bool some;
};

static void see_other(void *to, const char *dir)
{
    struct others *others = to;

    if (cert_configured(others->conf, dir))
        return;
    escape_print(stderr, "%s%s", others->some ? ", " : "; these can be deleted: ", dir);
    others->some = true;
}

static int not_there(const struct conf *conf, const char *name)
{
    struct others others = {.conf = conf};

    escape_print(stderr, "pasgate: the store has no certificate \"%s\"", name);
    store_each(conf->acme.store, see_other, &others);
    fprintf(stderr, "\n");
    return CLI_USAGE;
}

/* ---- is it in use? */

static bool in_rows(const struct table *table, const char *dir)
{
    struct cert_row row;

    for (int i = 0; i < (int)table_certs(table); i++)
        if (status_cert_read(table, i, &row) && strcmp(row.name, dir) == 0)
            return true;
    return false;
}

/* The directory that carries the store's lock; -1 with errno. */
static int open_certs(const char *path)
{
    char certs[PATH_MAX];

    snprintf(certs, sizeof certs, "%s/certs", path);
    return open(certs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Takes the store's lock until certs_fd is closed, so that no service can begin to use the
 * store; false: a service holds it. A store without certs/ and a file system without locks have
 * none. */
static bool cli_cert_delete_lock(int certs_fd)
{
    return certs_fd < 0 || flock(certs_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/* The running service may still use an older configuration than the file. true: it uses the
 * certificate, or that is not known; after a message. */
static bool service_uses(const struct cli *cli, const struct conf *conf, const char *dir)
{
    struct service service;
    bool uses;

    if (service_find(&service, cli->conf_file) != CLI_OK) {
        escape_print(stderr,
                     "pasgate: another service uses the store %s, and perhaps this "
                     "certificate: nothing was deleted\n",
                     conf->acme.store);
        return true;
    }
    uses = in_rows(service.table, dir);
    service_close(&service);
    if (uses)
        fprintf(stderr, "pasgate: the running service still has this certificate in its "
                        "configuration: run `pasgate reload` first\n");
    return uses;
}

/* ---- the whole command */

/* A generation may be marked as revoked, and not be on the list: acmed was killed before it
 * wrote that, or could not write it. certs_fd -1: there is no certs/. ours: we have the lock;
 * else only acmed may write the list, so it must have done so. false: after a message. */
static bool list_revoked(const struct conf *conf, const char *dir, int certs_fd, bool ours)
{
    const struct store store = {.certs_fd = certs_fd, .ours = ours, .path = conf->acme.store};

    if (certs_fd < 0 || revoked_list_marked(&store, dir))
        return true;
    escape_print(
        stderr,
        "pasgate: certificate %s was revoked, and %s/certs/.revoked, which would "
        "remember that, %s: not deleted, so that no copy of it is used\n",
        dir, conf->acme.store,
        ours
            ? "cannot be written"
            : "does not have it, because the running service could not write it (see its log)");
    return false;
}

static int delete_as_user(const struct conf *conf, const char *dir, uint32_t generations,
                          int certs_fd, bool locked)
{
    struct identity identity;

    if (identity_find(&identity, conf->user) < 0) {
        escape_print(stderr, "pasgate: there is no user %s\n", conf->user);
        return CLI_FAILURE;
    }
    if (privilege_drop(&identity) < 0 || !list_revoked(conf, dir, certs_fd, locked))
        return CLI_FAILURE;
    if (store_delete(conf->acme.store, dir) < 0) {
        escape_print(stderr, "pasgate: %s: certificate %s could not be deleted: %s\n",
                     conf->acme.store, dir, strerror(errno));
        return CLI_FAILURE;
    }
    escape_print(stdout,
                 "certificate %s: deleted %u generation%s and the record of its orders\n", dir,
                 generations, str_plural(generations));
    return CLI_OK;
}

static int delete_from(const struct cli *cli, const struct conf *conf, int certs_fd)
{
    char dir[CERT_DIR_SIZE];
    const struct conf_cert *cert;
    const char *store = conf->acme.store;
    uint32_t generations;
    bool locked;

    cert_dir(dir, cli->name);
    if (!store_knows(store, dir, &generations) && store_is_dir(cli->name))
        snprintf(dir, sizeof dir, "%s", cli->name);
    cert = cert_configured(conf, dir);
    if (cert) {
        escape_print(stderr,
                     "pasgate: certificate %s is configured (%s): remove it there, reload, "
                     "then delete it\n",
                     cert->name, cert->where);
        return CLI_FAILURE;
    }
    if (!store_knows(store, dir, &generations))
        return not_there(conf, cli->name);
    locked = cli_cert_delete_lock(certs_fd);
    if (!locked && service_uses(cli, conf, dir))
        return CLI_FAILURE;
    return delete_as_user(conf, dir, generations, certs_fd, locked);
}

static int delete_it(const struct cli *cli, const struct conf *conf)
{
    int code, certs_fd = open_certs(conf->acme.store);

    if (certs_fd < 0 && errno != ENOENT) {
        escape_print(stderr,
                     "pasgate: %s/certs cannot be opened: %s; nothing was deleted: run this as "
                     "the store's owner or as root\n",
                     conf->acme.store, strerror(errno));
        return CLI_FAILURE;
    }
    code = delete_from(cli, conf, certs_fd);
    fd_close(&certs_fd);
    return code;
}

int cli_cert_delete(const struct cli *cli)
{
    struct conf_errors errs = {0};
    struct conf *conf;
    int code = CLI_CONFIG;

    if (!cli->name || !cli->force) {
        fprintf(stderr, "pasgate: cert delete: %s\n",
                cli->name ? "this deletes its keys and certificates without revoking them: if "
                            "you are sure, add --force"
                          : "which certificate?");
        return CLI_USAGE;
    }
    conf = conf_load(cli->conf_file, &errs);
    if (!conf && errs.host)
        code = CLI_FAILURE;
    if (!conf)
        escape_print(stderr, "pasgate: %s %s: see pasgate check\n", cli->conf_file,
                     errs.host ? "cannot be read" : "has errors");
    else
        code = delete_it(cli, conf);
    conf_errors_release(&errs);
    conf_free(conf);
    return code;
}
