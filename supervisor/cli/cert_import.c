/* `pasgate cert import [DIR] [--dry-run]` moves over from certbot; `cert import FILE [NAME]`
 * takes a certificate that was made elsewhere. Both work on the store itself, as the user who
 * owns it, while no service uses it; only configured files may be written at any time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "acmed/cert/certbot.h"
#include "acmed/cert/import_file.h"
#include "base/conf/conf.h"
#include "base/escape.h"
#include "supervisor/cli/cli.h"
#include "supervisor/privilege.h"

#define CERTBOT_DIR "/etc/letsencrypt"

/* Becomes the user who owns the store, and creates it if needed. false: after a message. */
static bool become_owner(const struct conf *conf, bool dry_run)
{
    const char *store = conf->acme.store;
    struct identity identity;

    if (identity_find(&identity, conf->user) < 0)
        escape_print(stderr, "pasgate: there is no user %s\n", conf->user);
    else if (!dry_run && privilege_make_store(store, &identity) < 0)
        escape_print(stderr, "pasgate: %s: %s; it must be a directory that %s can write to\n",
                     store, strerror(errno), identity.name);
    else
        return privilege_drop(&identity) == 0;
    return false;
}

static int import_dir(const struct conf *conf, const char *dir, bool dry_run)
{
    struct certbot *certbot = certbot_read(conf, dir);
    int rc = -1;

    if (!certbot)
        escape_print(stderr, "pasgate: %s/live: %s\n", dir, strerror(errno));
    else if (become_owner(conf, dry_run))
        rc = certbot_import(certbot, dry_run, stdout);
    certbot_free(certbot);
    return rc < 0 ? CLI_FAILURE : CLI_OK;
}

static int import_file(const struct conf *conf, const struct cli *cli)
{
    const struct import_request request = {.file = cli->name,
                                           .key = cli->key,
                                           .password_file = cli->password,
                                           .name = cli->second,
                                           .dry_run = cli->dry_run,
                                           .force = cli->force};
    struct import_file *import = import_file_read(conf, &request);
    int rc = -1;

    if (import && (!import_file_to_store(import) || become_owner(conf, cli->dry_run)))
        rc = import_file_write(import, stdout);
    import_file_free(import);
    return rc < 0 ? CLI_FAILURE : CLI_OK;
}

static bool is_file(const char *path)
{
    struct stat st;

    return path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int cli_cert_import(const struct cli *cli)
{
    struct conf_errors errs = {0};
    bool file = is_file(cli->name);
    struct conf *conf;
    int code = CLI_CONFIG;

    if (!file && (cli->key || cli->password || cli->second)) {
        escape_print(stderr, "pasgate: cert import: %s%s\n",
                     cli->name ? cli->name : "--key and --password-file need a file to import",
                     cli->name ? " is not a file" : "");
        return CLI_USAGE;
    }
    /* Before the configuration is read: a mistyped file's certificate has no files yet either,
     * and their absence would be reported instead. */
    if (cli->name && !file && !is_dir(cli->name)) {
        escape_print(stderr,
                     "pasgate: cert import: %s is neither a file (PKCS #12 or PEM) nor a "
                     "directory (certbot's, such as " CERTBOT_DIR ")\n",
                     cli->name);
        return CLI_USAGE;
    }
    /* A configured certificate file may not exist yet, because this imports it. */
    conf = file ? conf_load_early(cli->conf_file, &errs) : conf_load(cli->conf_file, &errs);
    if (!conf && errs.host)
        code = CLI_FAILURE;
    if (!conf)
        escape_print(stderr, "pasgate: %s %s: see pasgate check\n", cli->conf_file,
                     errs.host ? "cannot be read" : "has errors");
    else if (file)
        code = import_file(conf, cli);
    else
        code = import_dir(conf, cli->name ? cli->name : CERTBOT_DIR, cli->dry_run);
    conf_errors_release(&errs);
    conf_free(conf);
    return code;
}
