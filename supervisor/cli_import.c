/* `pasgate cert import [DIR] [--dry-run]`: moves over from certbot. It works on the store
 * itself, as the user whom it belongs to, while no service uses it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/certbot.h"
#include "base/conf.h"
#include "supervisor/cli.h"
#include "supervisor/privilege.h"

#define CERTBOT_DIR "/etc/letsencrypt"

static int read_and_import(const struct conf *conf, const char *dir, bool dry_run)
{
    struct certbot *certbot = certbot_read(conf, dir);
    const char *store = conf->acme.store;
    struct identity identity;
    int rc = -1;

    if (!certbot)
        fprintf(stderr, "pasgate: %s/live: %s\n", dir, strerror(errno));
    else if (identity_find(&identity, conf->user) < 0)
        fprintf(stderr, "pasgate: there is no user %s\n", conf->user);
    else if (!dry_run && privilege_make_store(store, &identity) < 0)
        fprintf(stderr, "pasgate: %s: %s; it must be a folder that %s can write\n", store,
                strerror(errno), identity.name);
    else if (privilege_drop(&identity) == 0)
        rc = certbot_import(certbot, dry_run, stdout);
    certbot_free(certbot);
    return rc < 0 ? CLI_FAILURE : CLI_OK;
}

int cli_cert_import(const struct cli *cli)
{
    struct conf_errors errs = {0};
    struct conf *conf = conf_load(cli->conf_file, &errs);
    int code = CLI_CONFIG;

    if (!conf)
        fprintf(stderr, "pasgate: %s is not good: see pasgate check\n", cli->conf_file);
    else
        code = read_and_import(conf, cli->name ? cli->name : CERTBOT_DIR, cli->dry_run);
    conf_errors_release(&errs);
    conf_free(conf);
    return code;
}
