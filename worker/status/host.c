#include "worker/status/host.h"

#include <arpa/inet.h>

#include "base/conf/conf.h"

static bool status_host_is_address(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char bytes[16];

    if (host.n >= sizeof text)
        return false;
    str_copy(text, sizeof text, host);
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

/* "*.shop.test" matches exactly one label in place of the "*". */
static bool status_host_same(struct str name, struct str host)
{
    if (!str_starts(name, STR("*.")))
        return str_eq_case(name, host);
    return str_eq_case(str_skip(name, 1), str_skip(host, str_index(host, '.')));
}

static bool among(const char *const *names, size_t n, struct str host)
{
    for (size_t i = 0; i < n; i++)
        if (status_host_same(str_from(names[i]), host))
            return true;
    return false;
}

bool status_host_allowed(const struct conf *conf, const struct conf_listen *listen,
                         struct str host)
{
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n == 0 || str_index(host, '.') == host.n || status_host_is_address(host) ||
        str_ends_case(host, STR(".localhost")) || among(listen->hosts, listen->n_hosts, host))
        return true;
    for (size_t i = 0; i < conf->n_certs; i++)
        if (among(conf->certs[i].names, conf->certs[i].n_names, host))
            return true;
    return false;
}
