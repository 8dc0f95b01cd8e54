/*
 * conf/build.h - a configuration while it is being built.
 *
 * Used in base/conf only. Everything except the arenas is released at the end of the load.
 */
#ifndef BASE_CONF_BUILD_H
#define BASE_CONF_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf/conf.h"
#include "base/conf/errors.h"
#include "base/conf/source.h"

struct conf_mark;

struct conf_build {
    struct conf *conf; /* in the arena */
    struct conf_arena *arena, *secrets;
    struct conf_arena *keys; /* for backends */
    size_t pem_bytes;        /* read from files of pools */
    struct conf_source text;
    struct conf_error_list report, warnings;
    struct conf_mark *marks; /* the line of each field and record */
    size_t n_marks, cap_marks;
    bool early; /* certificate files may be missing */
};

/* Reads the text into the tree by the table: syntax, names, types, ranges, defaults. Errors go
 * to the report. False: a syntax error, so that there is no tree. */
bool conf_read(struct conf_build *b);

/* The line of a field, or of a record of a list; 0 if the file does not contain it. */
unsigned conf_line_of_field(const struct conf_build *b, const void *field);
unsigned conf_line_of_record(const struct conf_build *b, const void *record);

/* Checks settings against each other, fills in values that follow from other settings, and puts
 * pools, backends and routes into their final order. Errors go to the report. */
void conf_check(struct conf_build *b);

/* "file:line" of a line, in the arena. */
const char *conf_where(struct conf_build *b, unsigned line);

/* For settings that are allowed but probably a mistake. conf_warn_all() finds those that the
 * file alone shows, in a tree without errors (conf/warn.c). Lines are found by the address of a
 * field, so it runs before backends and certificates move. */
#define conf_warn(b, line, ...) conf_errors_add(&(b)->warnings, line, __VA_ARGS__)
void conf_warn_all(struct conf_build *b);

/* ---- conf/check_acme.c, for conf/check.c */
void conf_check_acme(struct conf_build *b);
/* Checks the challenges of acme or of a certificate; whose: the name before ".challenges". */
void conf_check_challenges(struct conf_build *b, const char *whose,
                           const char *const *challenges, size_t n);

/* ---- conf/check_certs.c, for conf/check.c */
void conf_check_certs(struct conf_build *b);
/* Splits each certificate with two key types into two, and links these. Only call it if there
 * are no errors so far. */
void conf_spread_certs(struct conf_build *b);

/* ---- conf/check.c: a name made from a host name: characters that a name cannot have become
 * "-", or are dropped at the start. */
const char *conf_name_from_host(struct conf_build *b, const char *host);

/* ---- conf/check_client_certs.c, for conf/check.c: files of a listener; is a route possible?
 */
void conf_check_client_certs(struct conf_build *b, struct conf_listen *l);
void conf_check_route_certs(struct conf_build *b, const struct conf_route *route);

/* ---- conf/check_users.c, for conf/check.c: reads the file of users of a route */
void conf_check_users(struct conf_build *b, struct conf_route *route);

/* ---- conf/check_tls.c, for conf/check.c: TLS to backends. Reads its files. */
void conf_check_tls(struct conf_build *b, size_t pool);

/* ---- conf/check_methods.c, for conf/check.c: fills route->allow */
void conf_check_methods(struct conf_build *b, struct conf_route *route);

#endif
