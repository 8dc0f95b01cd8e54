/*
 * conf/value.h - how values are written: durations, sizes, addresses, networks, names.
 *
 * Pure functions on C strings; each parser returns false, and its result is not to be used, if
 * the text is not of its kind. Any process may call them.
 */
#ifndef BASE_CONF_VALUE_H
#define BASE_CONF_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/conf/conf.h"

#define CONF_FORMAT_LEN 32 /* for conf_format_*() */

/* Decimal digits only, up to 18 of them. */
bool conf_parse_count(const char *s, uint64_t *out);

/* "200ms", "5s", "10m", "12h", "90d", or seconds; a fraction is allowed, as in "1.5s". */
bool conf_parse_duration(const char *s, uint64_t *ms);

/* "64k", "2m", "1g" (powers of 1024), or bytes. */
bool conf_parse_size(const char *s, uint64_t *bytes);

/* Write a short form that parses back to the same value. Return `out`. */
char *conf_format_duration(uint64_t ms, char out[static CONF_FORMAT_LEN]);
char *conf_format_size(uint64_t bytes, char out[static CONF_FORMAT_LEN]);

/* "*:443", ":443" (dual is set, addr is [::]), "127.0.0.1:80", "[::1]:80". */
bool conf_parse_listen(const char *s, struct conf_listen *out);

/* "pas1:8810", "10.0.0.7:8810", "[fd00::7]:8810"; host is in lower case, without brackets. */
bool conf_parse_hostport(const char *s, char host[static CONF_HOST_LEN + 1], uint16_t *port);

/* "10.0.0.0/8", "fd00::/8", or one address. Bits set after the prefix length are an error. */
bool conf_parse_network(const char *s, struct conf_prefix *out);
char *conf_format_network(const struct conf_prefix *net, char *out, size_t cap);

/* "allow 10.0.0.0/8", "deny 192.0.2.7", or "all" in place of the network. */
bool conf_parse_client(const char *s, struct conf_client *out);
char *conf_format_client(const struct conf_client *client, char *out, size_t cap);

/* "200-399" or "204". */
bool conf_parse_status(const char *s, struct conf_status_range *out);

/* A host name of RFC 1123 (or an IPv4 address); with `wildcard`, also "*.example.com".
 * An underscore is allowed: compose service names have it. */
bool conf_is_host(const char *s, bool wildcard);

/* A path for a route: starts with "/", has no empty, "." or ".." segment, no query, and no byte
 * that a request line cannot contain. With `query` (for checks), "?..." may follow. */
bool conf_is_path(const char *s, bool query);

/* The number of edits (insert, delete, replace, swap neighbours) between two strings. */
unsigned conf_distance(const char *a, const char *b);

#endif
