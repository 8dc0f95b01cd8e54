/*
 * From host and path to a route: a compiled, immutable table, one per configuration generation.
 *
 * Worker only. route_table_new() copies what it is given; lookups are pure and do not allocate.
 * Matching: the exact host first, then the longest `*.suffix`, then routes without a host;
 * within a host the longest path prefix on a segment border. Hosts are found by halving, so a
 * thousand cost hardly more than one. A host whose routes do not match
 * the path falls through to the less specific ones. Hosts compare without case, paths with.
 */
#ifndef WORKER_HTTP_ROUTE_H
#define WORKER_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* Input: one configured route. Slices need to live only for the call of route_table_new(). */
struct route_rule {
    struct str host;          /* "", "shop.test" or "*.shop.test" */
    struct str path;          /* "/pas"; a trailing slash is ignored, "/" matches all */
    struct str upstream_path; /* "/web"; empty: the same as path */
    uint32_t target;          /* the caller's number (pool index), given back */
    bool allow_admin;         /* lets shielded paths through even when not named themselves */
};

/* What kind of PASOE transport a path is (PAS.md section 1), which decides retry and redirect.
 */
enum route_class {
    ROUTE_CLASS_PLAIN, /* web handlers, REST, static: by the method's own rules */
    ROUTE_CLASS_APSV, /* /apsv, /{webapp}/apsv: sticky, never retried, never redirected, no gzip
                       */
    ROUTE_CLASS_SOAP, /* /soap, /{webapp}/soap: a POST is never retried */
};

struct route_match {
    uint32_t target;
    uint32_t rule;            /* index of the rule, for the log */
    uint8_t class;            /* enum route_class, by the upstream path */
    bool shielded;            /* management or ping path that no route names: answer 404 */
    struct str prefix;        /* the rule's path without trailing slash: "" for "/" */
    struct str upstream_path; /* what replaces it, without trailing slash: "" for "/" */
};

struct route_table;

/* Builds the table. NULL only when out of memory. Free with route_table_free() (takes NULL). */
struct route_table *route_table_new(const struct route_rule *rules, size_t n);
void route_table_free(struct route_table *);

/*
 * Look up a host (without port; empty for none) and a normalised path (http/uri.h, with
 * ;parameters: they are ignored). False when no route matches. Slices of *match live as long as
 * the table.
 */
bool route_lookup(const struct route_table *, struct str host, struct str path,
                  struct route_match *match);

/*
 * Map a normalised path by the match: the prefix is replaced, the rest kept byte for byte.
 * Writes into out[0, cap), returns the length or -1 when it does not fit.
 */
ssize_t route_map_path(const struct route_match *, struct str path, char *out, size_t cap);

/* Class of a normalised path, without a table. */
enum route_class route_class_of(struct str path);

/* True for /oemanager, /manager, /host-manager, /health and every _oeping path (without case).
 */
bool route_is_admin(struct str path);

/*
 * True for /.well-known/acme-challenge/TOKEN; *token is the TOKEN when it is made of base64url
 * bytes only, else empty. Such requests are never redirected.
 */
bool route_acme_token(struct str path, struct str *token);

#endif
