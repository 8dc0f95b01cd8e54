#include "supervisor/examine.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "acmed/cert/examine_cert.h"
#include "base/conf/backend_tls.h"
#include "supervisor/errors.h"
#include "supervisor/privilege.h"
#include "worker/http/route_spelling.h"
#include "worker/tls/client_ca.h"

struct examination {
    const struct conf *conf;
    enum examine_for what;
    struct conf_errors *errs, *warnings;
};

static void tell_cert(void *to, const struct conf_cert *cert, bool is_error, const char *text)
{
    struct examination *x = to;

    errors_add(is_error ? x->errs : x->warnings, "%s: certificates: %s: %s", cert->where,
               cert->name, text);
}

static void examine_certs(struct examination *x)
{
    const struct examine_rules rules = {.readable = x->what != EXAMINE_CHECK,
                                        .stored = x->what == EXAMINE_START};

    examine_cert_init();
    for (size_t i = 0; i < x->conf->n_certs; i++)
        examine_cert(x->conf, &x->conf->certs[i], &rules, tell_cert, x);
}

static void examine_client_certs(struct examination *x)
{
    char text[TLS_CLIENT_CA_TEXT];

    for (size_t i = 0; i < x->conf->n_listen; i++) {
        const struct conf_listen *l = &x->conf->listen[i];
        int result = 0;

        if (l->client_cert != CONF_CLIENT_CERT_NONE)
            result = tls_client_ca_check(l, text, sizeof text);
        if (result)
            errors_add(result < 0 ? x->errs : x->warnings, "%s: listen: %s: %s", x->conf->file,
                       l->address, text);
    }
}

/* ---- the user, programs, directories */

static void examine_user(struct examination *x)
{
    const struct conf *conf = x->conf;

    /* At start and reload, generation_new() reports it. */
    if (x->what == EXAMINE_CHECK && *conf->user && !getpwnam(conf->user))
        errors_add(geteuid() == 0 ? x->errs : x->warnings,
                   "%s: user: there is no user \"%s\" on this host", conf->file, conf->user);
}

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111;
}

static bool in_path(const char *name)
{
    const char *dirs = getenv("PATH");
    char path[PATH_MAX];

    for (dirs = dirs ? dirs : "/usr/bin:/bin"; *dirs;) {
        size_t n = strcspn(dirs, ":");

        if (snprintf(path, sizeof path, "%.*s/%s", (int)n, dirs, name) < (int)sizeof path &&
            is_program(path))
            return true;
        dirs += n + (dirs[n] != '\0');
    }
    return false;
}

/* Checks access as the user that the service's processes run as: root may do more. 0, or an
 * errno. */
static int user_may(const struct identity *user, const char *path, int how)
{
    int status = 0;
    pid_t pid;

    if (!user->change)
        return access(path, how) < 0 ? errno : 0;
    pid = fork();
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
            setresuid(user->uid, user->uid, user->uid) < 0)
            _exit(0); /* cannot tell */
        _exit(access(path, how) < 0 ? errno : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 0;
    return WEXITSTATUS(status);
}

/* Like "#!/bin/sh". For a script whose interpreter does not exist, the kernel reports "not
 * found", too. false: the script names an interpreter that is not a program; out is its
 * path. */
static bool has_interpreter(const char *path, char out[PATH_MAX])
{
    FILE *file = fopen(path, "r");
    char line[PATH_MAX] = "", *begin = line + 2;

    if (file && !fgets(line, sizeof line, file))
        line[0] = '\0';
    if (file)
        fclose(file);
    if (strncmp(line, "#!", 2) != 0)
        return true;
    begin += strspn(begin, " \t");
    begin[strcspn(begin, " \t\r\n")] = '\0';
    snprintf(out, PATH_MAX, "%s", begin);
    return is_program(out);
}

static void examine_hook(struct examination *x)
{
    const struct conf *conf = x->conf;
    const char *hook = conf->acme.hook;
    struct identity user;
    char interpreter[PATH_MAX];
    int error;

    if (!*hook)
        return;
    if (!is_program(hook)) {
        errors_add(x->errs, "%s: acme.hook: %s is not an executable program", conf->file, hook);
        return;
    }
    if (!has_interpreter(hook, interpreter))
        errors_add(x->warnings,
                   "%s: acme.hook: the first line of %s names %s, which is not a program here",
                   conf->file, hook, interpreter);
    else if (identity_find(&user, conf->user) == 0 && (error = user_may(&user, hook, X_OK)))
        errors_add(x->warnings,
                   "%s: acme.hook: user %s, which calls it, cannot run %s: %s; check its mode "
                   "and those of the directories above it",
                   conf->file, user.name, hook, strerror(error));
}

/* Of what should be a directory, as the user that checks. true: it is, or cannot be seen. */
static bool is_directory(struct examination *x, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0 || S_ISDIR(st.st_mode))
        return true;
    errors_add(x->warnings,
               "%s: acme.store: %s is not a directory, so no certificate can be kept: move it "
               "away, and a directory is made in its place",
               x->conf->file, path);
    return false;
}

/* A store that does not exist yet will be created. Only root can check for another user. */
static void examine_store(struct examination *x)
{
    static const char *const parts[] = {"", "/certs", "/orders", "/accounts"};
    const struct conf *conf = x->conf;
    struct identity user;
    char path[PATH_MAX];

    if (x->what != EXAMINE_CHECK || conf->n_certs == 0)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(path, sizeof path, "%.2048s%s", conf->acme.store, parts[i]);
        if (!is_directory(x, path))
            return;
    }
    if (geteuid() != 0 || identity_find(&user, conf->user) < 0)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int error, how = R_OK | X_OK | (i > 0 ? W_OK : 0);

        snprintf(path, sizeof path, "%.2048s%s", conf->acme.store, parts[i]);
        error = user_may(&user, path, how);
        if (error == ENOENT && i > 0) {
            snprintf(path, sizeof path, "%.2048s", conf->acme.store);
            error = user_may(&user, path, W_OK);
        }
        if (error == 0 || error == ENOENT)
            continue;
        errors_add(x->warnings,
                   "%s: acme.store: user %s, which keeps the certificates, cannot read and "
                   "write %s: %s; make that user its owner",
                   conf->file, user.name, path, strerror(error));
        return;
    }
}

static void examine_programs(struct examination *x)
{
    const struct conf *conf = x->conf;

    examine_hook(x);
    for (size_t i = 0; i < conf->n_backends; i++) {
        const struct conf_backend *b = &conf->backends[i];
        const char *command = b->n_restart_command ? b->restart_command[0] : "";

        if (strchr(command, '/') && !is_program(command))
            errors_add(x->errs,
                       "%s: pools.backends.restart.command: %s of backend %s is not an "
                       "executable program",
                       conf->file, command, b->name);
        else if (*command && !strchr(command, '/') && !in_path(command))
            errors_add(x->warnings,
                       "%s: pools.backends.restart.command: %s of backend %s is not in PATH "
                       "here; write its full path",
                       conf->file, command, b->name);
    }
}

static void examine_readable(struct examination *x, const char *setting, const char *path)
{
    if (*path && access(path, R_OK) < 0)
        errors_add(x->what == EXAMINE_CHECK && errno == EACCES ? x->warnings : x->errs,
                   "%s: %s: cannot read %s: %s", x->conf->file, setting, path, strerror(errno));
}

static void examine_log(struct examination *x)
{
    const char *file = x->conf->log.access_file;
    const char *slash = file ? strrchr(file, '/') : NULL;
    char dir[PATH_MAX];
    struct stat st;

    if (!slash)
        return;
    snprintf(dir, sizeof dir, "%.*s", slash == file ? 1 : (int)(slash - file), file);
    if (stat(dir, &st) < 0 && errno != EACCES)
        errors_add(x->errs, "%s: log.access: %s: %s; create that directory", x->conf->file, dir,
                   strerror(errno));
    else if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        errors_add(x->errs, "%s: log.access: %s is a directory; write the path of a file",
                   x->conf->file, file);
}

/* ---- routes */

/* Requests are routed in one normalised spelling: a path written in another one never
 * matches. */
static void examine_routes(struct examination *x)
{
    char buffer[CONF_PATH_LEN + 2];
    const char *why = "";

    for (size_t i = 0; i < x->conf->n_routes; i++) {
        const struct conf_route *r = &x->conf->routes[i];
        const char *path = route_spelling(r->path, buffer, sizeof buffer, &why);

        if (!path)
            errors_add(x->warnings,
                       "%s: routes.path: no request can match \"%s\", which is refused: %s",
                       r->where, r->path, why);
        else if (strcmp(path, r->path) != 0)
            errors_add(x->warnings,
                       "%s: routes.path: no request can match \"%s\", because it arrives as "
                       "\"%s\"; write that",
                       r->where, r->path, path);
    }
}

/* Those who are not root cannot read all that the service can. */
static void examine_backend_tls(struct examination *x)
{
    char why[BACKEND_TLS_WHY];

    for (size_t i = 0; i < x->conf->n_pools; i++) {
        const struct conf_pool *pool = &x->conf->pools[i];
        bool unread = (*pool->tls.ca && !*pool->tls.ca_pem) ||
                      (*pool->tls.certificate && !*pool->tls.certificate_pem) ||
                      (*pool->tls.key && !*pool->tls.key_pem);

        if (pool->tls.enabled && backend_tls_check(&pool->tls, why, sizeof why) < 0)
            errors_add(x->what == EXAMINE_CHECK && unread ? x->warnings : x->errs,
                       "%s: pools.tls: pool %s: %s", x->conf->file, pool->name, why);
    }
}

void examine(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
             struct conf_errors *warnings)
{
    struct examination x = {.conf = conf, .what = what, .errs = errs, .warnings = warnings};

    for (size_t i = 0; i < conf->n_warnings; i++)
        errors_add(warnings, "%s", conf->warnings[i]);
    examine_certs(&x);
    examine_client_certs(&x);
    examine_user(&x);
    examine_programs(&x);
    examine_backend_tls(&x);
    examine_store(&x);
    examine_readable(&x, "acme.ca_file", conf->acme.ca_file);
    examine_readable(&x, "acme.fallback.ca_file", conf->acme.fallback.ca_file);
    if (what == EXAMINE_CHECK)
        examine_log(&x);
    examine_routes(&x);
    errors_limit(errs, conf->file, "errors");
    errors_limit(warnings, conf->file, "warnings");
}
