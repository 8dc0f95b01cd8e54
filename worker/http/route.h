/*
 * From host and path to a route: a compiled, immutable table, one per configuration generation.
 *
 * Worker only. route_table_new() copies its input; lookups are pure and do not allocate. Order
 * of matching: first the exact host, then the longest `*.suffix`, then routes without a host;
 * within a host the longest path prefix that ends at a segment boundary. Hosts are found by
 * binary search, so a thousand cost hardly more than one. If no route of a host matches the
 * path, the less specific hosts are tried. Hosts are compared without case, paths with case.
 */
#ifndef WORKER_HTTP_ROUTE_H
#define WORKER_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

/* Input: one configured route. The slices only need to live during route_table_new(). */
struct route_rule {
    struct str host;          /* "", "shop.test" or "*.shop.test" */
    struct str path;          /* "/pas"; a trailing slash is ignored, "/" matches all */
    struct str upstream_path; /* "/web"; empty: the same as path */
    uint32_t target;          /* the caller's number (index of the route); returned unchanged */
};

/* The PASOE transport that a path belongs to: PASOE offers an application as web handlers and
 * REST, to ABL clients (APSV) and by SOAP. Decides about retries and redirects. */
enum route_class {
    ROUTE_CLASS_PLAIN, /* web handlers, REST, static: the method's own rules apply */
    ROUTE_CLASS_APSV,  /* /apsv, /{webapp}/apsv: sticky, no retry, no redirect, no gzip */
    ROUTE_CLASS_SOAP,  /* /soap, /{webapp}/soap: a POST is never retried */
};

struct route_match {
    uint32_t target;
    uint32_t rule;     /* index of the rule, for the log */
    uint8_t class;     /* enum route_class, by the upstream path */
    bool shielded;     /* management or ping path that no route names: respond with 404 */
    struct str prefix; /* the rule's path without trailing slash: "" for "/" */
    struct str upstream_path; /* its replacement, without trailing slash: "" for "/" */
};

struct route_table;

/* Builds the table. NULL only when out of memory. Free with route_table_free() (takes NULL). */
struct route_table *route_table_new(const struct route_rule *rules, size_t n);
void route_table_free(struct route_table *);

/*
 * Looks up a host (without port; empty for none) and a normalised path (http/uri.h; its
 * ;parameters are ignored). False if no route matches. Slices of *match live as long as the
 * table.
 */
bool route_lookup(const struct route_table *, struct str host, struct str path,
                  struct route_match *match);

/*
 * Maps a normalised path with the match: replaces the prefix and keeps the rest byte for byte.
 * Writes to out[0, cap), returns the length or -1 if it does not fit.
 */
ssize_t route_map_path(const struct route_match *, struct str path, char *out, size_t cap);

/* Class of a normalised path, without a table. */
enum route_class route_class_of(struct str path);

/* True for /oemanager, /manager, /host-manager, /health and every _oeping path
 * (case-insensitive). */
bool route_is_admin(struct str path);

/*
 * True for /.well-known/acme-challenge/TOKEN; *token is the TOKEN if it consists only of
 * base64url bytes, else empty. Such requests are never redirected.
 */
bool route_acme_token(struct str path, struct str *token);

#endif
