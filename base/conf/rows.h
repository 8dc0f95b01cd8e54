/* conf/rows.h - macros for rows of the table of settings, and the sections that have their own
 * files. Used by base/conf/table*.c only. */
#ifndef BASE_CONF_ROWS_H
#define BASE_CONF_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/conf/table.h"
#include "base/conf/type.h"

#define MS      1
#define SECONDS 1000
#define MINUTES (60 * SECONDS)
#define HOURS   (60 * MINUTES)
#define DAYS    ((uint64_t)24 * HOURS)
#define KIB     1024
#define MIB     (1024 * KIB)

#define AT(type, field) .offset = offsetof(struct type, field)
#define MANY(type, field)                                                              \
    .offset = offsetof(struct type, field), .count = offsetof(struct type, n_##field), \
    .flags = LIST
#define END          \
    {                \
        .name = NULL \
    }

extern const struct conf_section conf_acme_section, conf_cert_section;  /* conf/table_acme.c */
extern const struct conf_section conf_pool_section, conf_route_section; /* conf/table_pools.c */
extern const struct conf_section conf_timeout_section; /* conf/table_timeouts.c */
extern const struct conf_section conf_client_section;  /* conf/table_clients.c */

#endif
