/*
 * The pages of `serve = "status"` listeners: pure functions of the mapped table.
 *
 *   /             a page for people, reloads every 2 s, no scripts
 *   /status.json  the same as `pasgate status --json` (shm/status/status.h)
 *   /metrics      for Prometheus, text format 0.0.4
 *   /healthz      200 "ok" if at least one worker serves, else 503: is this process alive?
 *   /readyz       200 if each pool has a backend that gets new requests, else 503, with a
 *                 line for each pool; ?pool=NAME: of that one, 404 if there is none
 *
 * Any process that has the table mapped, one thread. Allocates nothing.
 */
#ifndef WORKER_STATUS_PAGE_H
#define WORKER_STATUS_PAGE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/str.h"

struct table;

enum {
    STATUS_PAGE_MAX = 24 * 1024 * 1024, /* enough for every page with a full table */
};

/* Renders the page of a path and its query (without "?") into out[0, cap). Returns its length,
 * without a NUL. *status is the HTTP status (404 for an unknown path, with a short text);
 * *content_type is static text. -1: cap was too small. */
ssize_t status_page_render(const struct table *, const char *path, struct str query, char *out,
                           size_t cap, const char **content_type, int *status);

#endif
