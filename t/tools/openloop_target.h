/* The URL that openloop requests, in its parts. */
#ifndef T_TOOLS_OPENLOOP_TARGET_H
#define T_TOOLS_OPENLOOP_TARGET_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct target {
    bool tls;
    char host[256], port[8], path[1024];
};

/* false: not a URL of http or https. */
static inline bool target_parse(struct target *t, const char *url)
{
    t->tls = strncmp(url, "https://", 8) == 0;
    if (!t->tls && strncmp(url, "http://", 7) != 0)
        return false;
    url += t->tls ? 8 : 7;
    size_t n = strcspn(url, "/");
    snprintf(t->path, sizeof t->path, "%s", url[n] ? url + n : "/");
    size_t host = strcspn(url, ":/");
    snprintf(t->host, sizeof t->host, "%.*s", (int)host, url);
    if (url[host] == ':')
        snprintf(t->port, sizeof t->port, "%.*s", (int)(n - host - 1), url + host + 1);
    else
        snprintf(t->port, sizeof t->port, "%s", t->tls ? "443" : "80");
    return true;
}

#endif
