/* conf/build.c - small parts that several steps of the load need; see conf/build.h and
 * conf/conf.h. */
#include "base/conf/build.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/arena.h"
#include "base/str.h"

const char *conf_where(struct conf_build *b, unsigned line)
{
    char text[4096 + 16];
    unsigned number;
    const char *file = conf_source_where(&b->text, line, &number);

    if (number)
        snprintf(text, sizeof text, "%s:%u", file, number);
    else
        snprintf(text, sizeof text, "%s", file);
    return conf_arena_strdup(b->arena, text);
}

const char *conf_name_from_host(struct conf_build *b, const char *host)
{
    char name[CONF_NAME_LEN + 1];
    size_t n = 0;

    for (; *host && n < CONF_NAME_LEN; host++) {
        unsigned char c = (unsigned char)*host;
        bool plain = ascii_is_alpha(c) || ascii_is_digit(c);
        if (plain || n > 0)
            name[n++] = plain || strchr("._-", c) ? *host : '-';
    }
    name[n] = '\0';
    return conf_arena_strdup(b->arena, name);
}

const struct conf_backend *conf_backend_find(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n_backends; i++) {
        if (strcmp(conf->backends[i].name, name) == 0)
            return &conf->backends[i];
    }
    return NULL;
}

const char *conf_backend_address(const struct conf_backend *b,
                                 char text[static CONF_ADDRESS_LEN])
{
    if (*b->socket)
        snprintf(text, CONF_ADDRESS_LEN, "unix:%s", b->socket);
    else
        snprintf(text, CONF_ADDRESS_LEN, strchr(b->host, ':') ? "[%s]:%u" : "%s:%u", b->host,
                 b->port);
    return text;
}

bool conf_uses_unix(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_backends; i++)
        if (*conf->backends[i].socket)
            return true;
    return false;
}

const struct conf_pool *conf_pool_find(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->n_pools; i++) {
        if (strcmp(conf->pools[i].name, name) == 0)
            return &conf->pools[i];
    }
    return NULL;
}
