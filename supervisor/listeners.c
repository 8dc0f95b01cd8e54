#include "supervisor/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fd.h"
#include "supervisor/errors.h"

enum {
    LISTEN_BACKLOG = 4096, /* the kernel limits it to net.core.somaxconn */
    PATIENCE_STEP_MS = 20,
};

static bool same_address(const struct listener *l, const struct conf_listen *c)
{
    if (l->asked.ss_family != c->addr.ss_family || l->dual != c->dual)
        return false;
    if (c->addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)&l->asked, *b = (const void *)&c->addr;

        return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
               memcmp(&a->sin6_addr, &b->sin6_addr, sizeof a->sin6_addr) == 0;
    }
    const struct sockaddr_in *a = (const void *)&l->asked, *b = (const void *)&c->addr;
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static uint16_t listeners_port_of(const struct sockaddr_storage *addr)
{
    return ntohs(addr->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)addr)->sin6_port
                                             : ((const struct sockaddr_in *)addr)->sin_port);
}

/* Do we listen on this port ourselves, or did a moment ago? */
static bool own_port(const struct listeners *all, const struct conf_listen *c)
{
    for (const struct listener *l = all->first; l; l = l->next)
        if (listeners_port_of(&l->addr) == listeners_port_of(&c->addr))
            return true;
    return false;
}

static int open_one(const struct sockaddr_storage *addr, socklen_t len, bool dual, bool share)
{
    int on = 1, off = 0;
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
        (addr->ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? &off : &on, sizeof on) < 0) ||
        bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        int error = errno;

        fd_close(&fd);
        errno = error;
    }
    return fd;
}

/* For "*:443" on a host without IPv6. */
static void fall_back_to_v4(struct listener *l)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(listeners_port_of(&l->addr))};

    memset(&l->addr, 0, sizeof l->addr);
    memcpy(&l->addr, &v4, sizeof v4);
    l->addr_len = sizeof v4;
}

/* With SO_REUSEPORT, a second pasgate of the same user would silently share the port; a socket
 * without it shows whether the port is free. */
static int probe(struct listeners *all, struct listener *l)
{
    int fd = open_one(&l->addr, l->addr_len, l->dual, false);

    while (fd < 0 && errno == EADDRINUSE && all->patience_ms > 0) {
        uint32_t ms = all->patience_ms < PATIENCE_STEP_MS ? all->patience_ms : PATIENCE_STEP_MS;

        all->patience_ms -= ms;
        usleep(ms * 1000);
        fd = open_one(&l->addr, l->addr_len, l->dual, false);
    }

    if (fd < 0 && errno == EAFNOSUPPORT && l->dual) {
        fall_back_to_v4(l);
        fd = open_one(&l->addr, l->addr_len, false, false);
    }
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int open_sockets(struct listener *l, uint32_t workers)
{
    while (l->n < workers) {
        int fd = open_one(&l->addr, l->addr_len, l->dual, true);

        if (fd < 0)
            return -1;
        l->fd[l->n++] = fd;
    }
    return 0;
}

static void close_sockets(struct listener *l, uint32_t keep)
{
    while (l->n > keep)
        fd_close(&l->fd[--l->n]);
}

static const char *listeners_hint(int error)
{
    switch (error) {
    case EADDRINUSE:
        return ": another process (or another pasgate) listens there";
    case EACCES:
        return ": ports below 1024 need root or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return ": no interface has this address";
    default:
        return "";
    }
}

static struct listener *listener_open(struct listeners *all, const struct conf_listen *c,
                                      uint32_t workers)
{
    struct listener *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->asked = l->addr = c->addr;
    l->addr_len = c->addr_len;
    l->dual = c->dual;
    if ((!own_port(all, c) && probe(all, l) < 0) || open_sockets(l, workers) < 0) {
        int error = errno;

        close_sockets(l, 0);
        free(l);
        errno = error;
        return NULL;
    }
    l->next = all->first;
    all->first = l;
    return l;
}

static struct listener *find_or_open(struct listeners *all, const struct conf_listen *c,
                                     uint32_t workers)
{
    for (struct listener *l = all->first; l; l = l->next)
        if (l->n > 0 && same_address(l, c))
            return open_sockets(l, workers) < 0 ? NULL : l;
    return listener_open(all, c, workers);
}

static void sweep(struct listeners *all)
{
    for (struct listener **at = &all->first; *at;) {
        struct listener *l = *at;

        if (l->refs > 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        close_sockets(l, 0);
        free(l);
    }
}

int listeners_take(struct listeners *all, const struct conf *conf, uint32_t workers,
                   struct listener_set *set, struct conf_errors *errs)
{
    size_t errors_before = errs->n;

    CHECK(conf->n_listen <= CONF_MAX_LISTENERS && workers <= CONF_MAX_WORKERS);
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < conf->n_listen; i++) {
        struct listener *l = find_or_open(all, &conf->listen[i], workers);

        if (!l) {
            errors_add(errs, "cannot listen on %s: %s%s", conf->listen[i].address,
                       strerror(errno), listeners_hint(errno));
            continue;
        }
        l->refs++;
        set->sockets[set->n] = l->n;
        set->v[set->n++] = l;
    }
    if (errs->n == errors_before)
        return 0;
    listeners_give(all, set);
    return -1;
}

void listeners_give(struct listeners *all, struct listener_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        set->v[i]->refs--;
    set->n = 0;
    sweep(all);
}

void listeners_trim(struct listener_set *set)
{
    for (uint32_t i = 0; i < set->n; i++)
        close_sockets(set->v[i], set->sockets[i]);
}

bool listeners_has(const struct listener_set *set, const struct listener *listener)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->v[i] == listener)
            return true;
    return false;
}

void listeners_drop(struct listeners *all, const struct listener_set *set)
{
    for (struct listener *l = all->first; l; l = l->next)
        if (!listeners_has(set, l))
            close_sockets(l, 0);
}

void listeners_close_all(struct listeners *all)
{
    for (struct listener *l = all->first; l; l = l->next)
        close_sockets(l, 0);
}

uint32_t listeners_of_slot(const struct listener_set *set, uint32_t slot, uint32_t workers,
                           struct heritage_listener out[HERITAGE_LISTENERS])
{
    uint32_t n = 0;

    /* First this slot's own socket of each listener, then sockets of slots that no longer
     * exist. */
    for (uint32_t round = 0; round * workers + slot < CONF_MAX_WORKERS; round++) {
        uint32_t at = round * workers + slot;

        for (uint32_t i = 0; i < set->n && n < HERITAGE_LISTENERS; i++)
            if (at < set->sockets[i] && at < set->v[i]->n)
                out[n++] = (struct heritage_listener){.fd = set->v[i]->fd[at], .index = i};
    }
    return n;
}
