/* conf/conf.c - the entry points of the configuration; see conf/conf.h. The work is done in
 * conf/source.c (files), conf/read.c (syntax, by the table of conf/table.c) and conf/check.c
 * (consistency). */
#include "base/conf/conf.h"

#include <malloc.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/conf/networks.h"
#include "base/conf/report.h"
#include "base/conf/table.h"

/* Copies the list of files into the arena; a file that is included twice is listed once. */
static void keep_files(struct conf_build *b)
{
    struct conf_file *to = conf_arena_alloc(b->arena, b->text.n_files * sizeof *to);
    size_t n = 0;

    for (size_t i = 0; i < b->text.n_files; i++) {
        const struct conf_file *from = &b->text.files[i];
        size_t j = 0;

        while (j < n && strcmp(to[j].path, from->path) != 0)
            j++;
        if (j == n)
            to[n++] = (struct conf_file){conf_arena_strdup(b->arena, from->path), from->seen};
    }
    b->conf->files = to;
    b->conf->n_files = n;
}

/* Copies the warnings into the arena. */
static void keep_warnings(struct conf_build *b)
{
    struct conf_errors list = {0};
    const char **to;

    conf_report_finish(&b->warnings, &b->text, &list);
    to = conf_arena_alloc(b->arena, (list.n ? list.n : 1) * sizeof *to);
    for (size_t i = 0; i < list.n; i++)
        to[i] = conf_arena_strdup(b->arena, list.v[i]);
    b->conf->warnings = to;
    b->conf->n_warnings = list.n;
    conf_errors_release(&list);
}

/* If there is no tree, the errors carry the list of files. */
static void give_files(struct conf_source *text, struct conf_errors *errs)
{
    errs->files = calloc(text->n_files, sizeof *errs->files);
    if (!errs->files)
        return;
    memcpy(errs->files, text->files, text->n_files * sizeof *errs->files);
    errs->n_files = text->n_files;
    text->n_files = 0;
}

/* A configuration may contain secrets, and libconfig's scanner makes copies. So freed memory is
 * overwritten during the load; otherwise every child would inherit it by fork. */
static void overwrite_freed(bool on)
{
#ifdef __GLIBC__
    mallopt(M_PERTURB, on);
#else
    (void)on;
#endif
}

/* The secrets of every tree in this process: the supervisor that forks a child may also hold
 * older trees, whose workers still drain, and one that is on trial. */
/* two per tree; more trees than there are worker rows, each with a generation of its own */
enum { TREES = 2 * 80 };
static struct conf_arena *secrets[TREES];

static bool replace(const struct conf_arena *old, struct conf_arena *new)
{
    for (size_t i = 0; i < TREES; i++)
        if (secrets[i] == old) {
            secrets[i] = new;
            return true;
        }
    return false;
}

static bool conf_remember(struct conf_arena *arena)
{
    return replace(NULL, arena);
}

static void conf_forget(const struct conf_arena *arena)
{
    if (arena)
        replace(arena, NULL);
}

/* Builds the tree from the text, if there is one. Releases everything else. */
static struct conf *build(struct conf_build *b, bool have_text, struct conf_errors *errs)
{
    struct conf *conf = NULL;

    b->arena = conf_arena_new(CONF_ARENA_BYTES);
    if (!b->arena)
        conf_errors_no_memory(&b->report);
    b->secrets = b->arena ? conf_arena_new(CONF_ARENA_BYTES) : NULL;
    b->keys = b->arena ? conf_arena_new(CONF_ARENA_KEY_BYTES) : NULL;
    if (b->arena &&
        (!b->secrets || !b->keys || !conf_remember(b->secrets) || !conf_remember(b->keys)))
        conf_errors_no_memory(&b->report);
    if (have_text && b->arena && b->secrets && b->keys) {
        b->conf = conf_arena_alloc(b->arena, sizeof *b->conf);
        b->conf->arena = b->arena;
        b->conf->secrets = b->secrets;
        b->conf->keys = b->keys;
        b->conf->file = conf_arena_strdup(b->arena, b->text.files[0].path);
        keep_files(b);
        b->conf->text = conf_source_keep(&b->text, b->secrets, &b->conf->n_text);
        if (conf_read(b))
            conf_check(b);
        keep_warnings(b);
    }
    if (!b->report.bad) {
        conf_arena_seal(b->arena);
        conf_arena_seal(b->secrets);
        conf_arena_seal(b->keys);
        conf = b->conf;
    } else {
        conf_forget(b->keys);
        conf_arena_free(b->keys);
        conf_forget(b->secrets);
        conf_arena_free(b->secrets);
        conf_arena_free(b->arena);
    }
    errs->host = b->report.host;
    conf_report_finish(&b->report, &b->text, errs);
    if (!conf && !errs->files)
        give_files(&b->text, errs);
    conf_source_release(&b->text);
    free(b->marks);
    overwrite_freed(false);
    return conf;
}

struct conf *conf_load(const char *file, struct conf_errors *errs)
{
    struct conf_build b = {0};

    overwrite_freed(true);
    return build(&b, conf_source_load(&b.text, file, &b.report), errs);
}

const void *conf_text(const struct conf *conf, size_t *n)
{
    *n = conf->n_text;
    return conf->text;
}

struct conf *conf_load_text(const void *text, size_t n, struct conf_errors *errs)
{
    struct conf_build b = {0};
    bool good;

    overwrite_freed(true);
    good = conf_source_restore(&b.text, text, n);
    if (!good)
        conf_errors_no_memory(&b.report);
    return build(&b, good, errs);
}

struct conf *conf_load_early(const char *file, struct conf_errors *errs)
{
    struct conf_build b = {.early = true};

    overwrite_freed(true);
    return build(&b, conf_source_load(&b.text, file, &b.report), errs);
}

struct conf *conf_parse(const char *text, size_t n, const char *name, struct conf_errors *errs)
{
    struct conf_build b = {0};

    overwrite_freed(true);
    return build(&b, conf_source_from(&b.text, name, text, n, &b.report), errs);
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    conf_forget(conf->secrets);
    conf_arena_free(conf->secrets);
    conf_forget(conf->keys);
    conf_arena_free(conf->keys);
    conf_arena_free(conf->arena);
}

void conf_keep_from_children(const struct conf *conf)
{
    conf_arena_keep_from_children(conf->arena);
    for (size_t i = 0; i < TREES; i++)
        if (secrets[i])
            conf_arena_keep_from_children(secrets[i]);
}

void conf_forget_secrets(const struct conf *but, const struct conf *keys_of)
{
    for (size_t i = 0; i < TREES; i++)
        if (secrets[i] && (!but || secrets[i] != but->secrets) &&
            (!keys_of || secrets[i] != keys_of->keys))
            conf_arena_blank(secrets[i]);
}

void conf_errors_release(struct conf_errors *errs)
{
    for (size_t i = 0; i < errs->n; i++)
        free(errs->v[i]);
    free(errs->v);
    for (size_t i = 0; i < errs->n_files; i++)
        free((char *)(uintptr_t)errs->files[i].path);
    free(errs->files);
    *errs = (struct conf_errors){0};
}

bool conf_trusts(const struct conf *conf, const struct sockaddr *addr)
{
    return conf_networks_hold(conf->trusted, conf->n_trusted, addr);
}

bool conf_exempts(const struct conf *conf, const struct sockaddr *addr)
{
    static const struct conf_prefix host[] = {
        {.addr = {[10] = 0xff, [11] = 0xff, [12] = 127}, .bits = 104},
        {.addr = {[15] = 1}, .bits = 128},
    };
    const struct conf_per_client *limits = &conf->limits.per_client;

    if (limits->n_exempt)
        return conf_networks_hold(limits->exempt, limits->n_exempt, addr);
    return conf_networks_hold(host, sizeof host / sizeof *host, addr);
}

const char *conf_state_name(enum conf_state state)
{
    return conf_choice_name(conf_states, state);
}

const char *conf_balance_name(enum conf_balance balance)
{
    return conf_choice_name(conf_balances, balance);
}

const char *conf_check_name(enum conf_check_type type)
{
    return conf_choice_name(conf_check_types, type);
}

const char *conf_retry_name(enum conf_retry reason)
{
    return conf_choice_name(conf_retry_reasons, reason);
}
