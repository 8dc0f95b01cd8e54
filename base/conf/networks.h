/*
 * conf/networks.h - is an address in one of these networks, and may this client come in?
 *
 * Pure; any process may call it. Addresses are AF_INET or AF_INET6; an IPv4 address is found in
 * its mapped form (::ffff:a.b.c.d), too. Any other family is in no network.
 */
#ifndef BASE_CONF_NETWORKS_H
#define BASE_CONF_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/conf/conf.h"

/* Does any of these networks have it? */
bool conf_networks_hold(const struct conf_prefix *nets, size_t n, const struct sockaddr *addr);

/* May it come in, by a list of clients? The first entry that has it decides. If there is none,
 * it may not if the list has an allow: that names those who may. An empty list admits all. Here
 * an IPv6 network has no IPv4 address: ::/0 is all of IPv6. */
bool conf_networks_admit(const struct conf_client *list, size_t n, const struct sockaddr *addr);

/* Does `first` match all that `later` matches, so that `later` never decides? */
bool conf_networks_hide(const struct conf_client *first, const struct conf_client *later);

#endif
