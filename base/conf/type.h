/*
 * conf/type.h - the kinds of value that a setting can have; see struct conf_kind.
 *
 * Constant data. Used in base/conf only.
 */
#ifndef BASE_CONF_TYPE_H
#define BASE_CONF_TYPE_H

#include "base/conf/table.h"

/* Each comment gives the type of the field. */
extern const struct conf_kind conf_bool;     /* bool */
extern const struct conf_kind conf_count;    /* uint32_t */
extern const struct conf_kind conf_count64;  /* uint64_t */
extern const struct conf_kind conf_port;     /* uint16_t */
extern const struct conf_kind conf_ms;       /* uint32_t, milliseconds */
extern const struct conf_kind conf_ms64;     /* uint64_t, milliseconds */
extern const struct conf_kind conf_hedge;    /* uint32_t, milliseconds, or CONF_HEDGE_AUTO */
extern const struct conf_kind conf_bytes;    /* uint32_t */
extern const struct conf_kind conf_bytes64;  /* uint64_t, or CONF_UNLIMITED */
extern const struct conf_kind conf_choice;   /* an enum, from .choices */
extern const struct conf_kind conf_string;   /* const char *: any text */
extern const struct conf_kind conf_secret;   /* const char *: any text, kept apart, masked */
extern const struct conf_kind conf_name;     /* const char *: of a pool, backend, certificate */
extern const struct conf_kind conf_host;     /* const char *: a host name */
extern const struct conf_kind conf_host_any; /* const char *: a host name, or *.name */
extern const struct conf_kind conf_cert_name; /* const char *: that, or an IP address */
extern const struct conf_kind conf_urlpath;   /* const char *: path of a route */
extern const struct conf_kind conf_method;    /* const char *: of HTTP */
extern const struct conf_kind conf_checkpath; /* const char *: path and query */
extern const struct conf_kind conf_file;      /* const char *: made absolute */
extern const struct conf_kind conf_url;       /* const char *: http or https */
extern const struct conf_kind conf_email;     /* const char * */
extern const struct conf_kind conf_ciphers;   /* const char *: OpenSSL's lists */
extern const struct conf_kind conf_listener;  /* struct conf_listen: its address fields */
extern const struct conf_kind conf_hostport;  /* struct conf_backend: its address fields */
extern const struct conf_kind conf_network;   /* struct conf_prefix */
extern const struct conf_kind conf_client;    /* struct conf_client */
extern const struct conf_kind conf_status;    /* struct conf_status_range */
extern const struct conf_kind conf_workers;   /* uint32_t: 0 is "auto" */
extern const struct conf_kind conf_access;    /* struct conf_log: access, access_file */
extern const struct conf_kind conf_directory; /* const char *: URL of an ACME directory */
extern const struct conf_kind conf_staging;   /* const char *: the same, "off" or "auto" */
extern const struct conf_kind conf_resolver;  /* const char *: address and port */
extern const struct conf_kind conf_challenge; /* const char *: of ACME */

/* The staging directory that belongs to a CA's directory, if it is a known one; "": none. */
const char *conf_staging_of(const char *directory);

#define CONF_SHOWN 60 /* bytes of a wrong value, in a message */

/* Write to cell->why what is wrong with a value and what would be right; the second says that
 * it is not of its kind. Both return false. */
__attribute__((format(printf, 2, 3))) bool conf_wrong(struct conf_cell *cell, const char *fmt,
                                                      ...);
bool conf_wrong_kind(struct conf_cell *cell, const char *text);

/* Prints a string as the file would contain it: quoted and escaped. */
void conf_print_string(const char *s, FILE *out);

#endif
