#include "worker/cert_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/certs.h"
#include "shm/heritage.h"
#include "worker/certs_stored.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

enum {
    STORE_PATH_MAX = 4096,
    CERTS_TURN_US = 20000, /* of loading, while clients wait: about thirty certificates */
    CERTS_LATE_MS = 900,   /* between two checks for missing ones: less than a tick */
};

static struct {
    uint32_t epoch;   /* of the last check of all rows */
    bool patient;     /* at that check */
    bool looked;      /* that check was completed */
    uint64_t late_ms; /* when to check again because some were behind */
    bool all;         /* every certificate has something loaded */
    uint32_t next;    /* where the next check continues */
    uint32_t *seen;   /* [n_certs]: count of the row whose generation is loaded, | 1; 0: none */
    uint8_t *lacks;   /* [n_certs]: enum lack, as found by a check in progress */
    bool searched;    /* the store was searched for pairs under other names */
    bool starts;      /* this worker is not ready yet */
} view;

enum lack {
    LACK_NONE,
    LACK_ROW, /* acmed does not know it; it may know it under another name */
    LACK_ALL, /* no more waiting for acmed */
};

/* It is there and cannot be read for now: not our file, or a failing disk. */
static bool is_unreadable(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char byte;
    bool fails = (fd < 0 || read(fd, &byte, sizeof byte) < 0) && errno != ENOENT &&
                 errno != ENOTDIR && errno != EISDIR && errno != ELOOP;

    fd_close(&fd);
    return fails;
}

static bool is_on_trial(const struct worker *worker)
{
    struct header_row header;

    return header_read(&worker->table->header, &header) &&
           header.config_generation < worker->heritage->generation;
}

/* Do the workers before us serve it, and do clients trust it? They have it in memory. */
static bool is_served_well(const struct worker *worker, const struct cert_row *row)
{
    const struct table *table = worker->table;
    uint32_t loaded, workers;
    struct cert_row other;

    if (row->source < CERT_FILE || row->revoked_wall_ms ||
        clock_wall_ms() >= row->not_after_wall_ms)
        return false;
    for (uint32_t i = 0; i < table_certs(table); i++) {
        if (!cert_read(&table->cert[i], &other) ||
            strncmp(other.name, row->name, sizeof other.name) != 0)
            continue;
        cert_loaded(table, i, row->generation, &loaded, &workers);
        return loaded > 0;
    }
    return false;
}

/* A worker that starts must not put a self-signed certificate in the place of a good one. That
 * refuses a reload; and the sockets of one that replaces a crashed worker are lent to the
 * others, which have the certificate, until a later try succeeds (supervisor/lend.c). What is
 * gone for good stops no reload: the new configuration may be what brings another one. */
static void refuse_to_start(const struct worker *worker, const struct cert_row *row,
                            const char *chain, const char *key)
{
    bool trial = is_on_trial(worker);

    if (!view.starts || !is_served_well(worker, row) ||
        (trial && !is_unreadable(chain) && !is_unreadable(key)))
        return;
    log_error("certificate %s: workers serve generation %u, and a new one cannot read it: %s",
              row->name, row->generation,
              trial ? "the reload is refused"
                    : "it is started again until it can, and the others serve its clients");
    exit(HERITAGE_EXIT_UNREADABLE);
}

static void cert_loader_load(struct worker *worker, uint32_t i, const struct cert_row *row)
{
    char chain[STORE_PATH_MAX], key[STORE_PATH_MAX], error[TLS_ERROR_SIZE];
    const char *store = worker->conf->acme.store;

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, row->name,
             row->generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, row->name, row->generation);
    if (row->source == CERT_SELF_SIGNED && row->wanted != CERT_SELF_SIGNED)
        tls_engine_temporary(worker->tls);
    if (tls_engine_load(worker->tls, i, chain, key, error, sizeof error) < 0) {
        static struct log_gate gate;

        if (log_gate_open(&gate))
            log_error("certificate %s: generation %u cannot be loaded: %s", row->name,
                      row->generation, error);
        refuse_to_start(worker, row, chain, key);
        view.lacks[i] = LACK_ALL;
        return;
    }
    atomic_store(&worker->row->cert_loaded[i], row->generation);
    log_debug("certificate %s: generation %u loaded", row->name, row->generation);
}

/* For a certificate of which nothing is loaded: TLS must not wait. */
static void stand_in(struct worker *worker, uint32_t i)
{
    const char *name = worker->conf->certs[i].name;
    char error[TLS_ERROR_SIZE], dir[CERT_DIR_SIZE];
    static struct log_gate gate;
    struct cert_row row;

    if (tls_engine_has(worker->tls, i))
        return;
    if (tls_engine_stand_in(worker->tls, i, error, sizeof error) == 0) {
        if (cert_find(worker->table, cert_dir(dir, name), i, &row) &&
            is_served_well(worker, &row))
            log_error("certificate %s: other workers serve generation %u from memory, and this "
                      "one cannot read it: until it can, it serves a self-signed one, which "
                      "clients refuse; make the store readable",
                      name, row.generation);
        else
            log_warn("certificate %s: none can be read; serving a self-signed one from memory",
                     name);
    } else if (log_gate_open(&gate))
        log_error("certificate %s: cannot create one: %s", name, error);
}

/* false: the certificate is not loaded as acmed publishes it. */
static bool refresh_one(struct worker *worker, uint32_t i, bool patient)
{
    const struct table *table = worker->table;
    char dir[CERT_DIR_SIZE];
    struct cert_row row;
    uint32_t count = 0;

    if (i < table_certs(table))
        count = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->cert[i].seq.n);
    if (view.seen[i] && view.seen[i] == (count | 1))
        return true;
    view.seen[i] = 0;
    view.lacks[i] = LACK_NONE;
    cert_dir(dir, worker->conf->certs[i].name);
    if (!cert_find(table, dir, i, &row)) {
        row = (struct cert_row){0};
        view.lacks[i] = LACK_ROW;
    }
    if (row.generation && row.generation != atomic_load(&worker->row->cert_loaded[i]))
        cert_loader_load(worker, i, &row);
    else if (!row.generation && (row.error[0] || !patient))
        view.lacks[i] = LACK_ALL;
    if (!row.generation || row.generation != atomic_load(&worker->row->cert_loaded[i]))
        return false;
    if (count % 2 == 0 && i < table_certs(table) &&
        strncmp(table->cert[i].row.name, dir, sizeof dir) == 0)
        view.seen[i] = count | 1;
    return true;
}

/* Fills in what acmed does not have, or what cannot be loaded. After a reload acmed is replaced
 * last: until then a certificate that has a new name has no row, but its old pair is in the
 * store. The very first workers wait for acmed instead, which has only just started. */
static void fill_gaps(struct worker *worker, bool brief)
{
    bool first = worker->heritage->generation == 1 && worker->heritage->incarnation == 1;
    bool search = false;

    for (uint32_t i = 0; i < worker->conf->n_certs; i++)
        search |= !tls_engine_has(worker->tls, i) &&
                  (view.lacks[i] == LACK_ALL || (view.lacks[i] == LACK_ROW && !first));
    if (!search)
        return;
    if (!brief && !view.searched) { /* a worker that already serves has no time for it */
        view.searched = true;
        certs_stored_load(worker);
    }
    for (uint32_t i = 0; i < worker->conf->n_certs; i++)
        if (view.lacks[i] == LACK_ALL)
            stand_in(worker, i);
}

static bool have_all(const struct worker *worker)
{
    for (uint32_t i = 0; i < worker->conf->n_certs; i++)
        if (!tls_engine_has(worker->tls, i))
            return false;
    return true;
}

/* Nothing has changed since the last check. */
static bool cert_loader_is_known(const struct worker *worker, uint32_t epoch, bool patient)
{
    return view.looked && view.epoch == epoch && view.patient == patient &&
           (!worker->certs_behind || worker->loop.now_ms < view.late_ms);
}

bool cert_loader_refresh(struct worker *worker, bool patient, bool brief)
{
    uint32_t n = (uint32_t)worker->conf->n_certs;
    uint32_t epoch = atomic_load(&worker->table->cert_epoch);
    uint64_t start_us = clock_mono_us();
    bool behind = false;

    worker->certs_more = false;
    view.starts = !brief;
    if (!worker->tls || n == 0)
        return true;
    if (cert_loader_is_known(worker, epoch, patient))
        return view.all;
    if ((!view.seen && !(view.seen = calloc(n, sizeof *view.seen))) ||
        (!view.lacks && !(view.lacks = calloc(n, sizeof *view.lacks))))
        return false;
    for (uint32_t done = 0; done < n && !worker->certs_more; done++) {
        uint32_t i = (view.next + done) % n;

        behind |= !refresh_one(worker, i, patient);
        if (brief && done + 1 < n && clock_mono_us() - start_us >= CERTS_TURN_US) {
            view.next = (i + 1) % n;
            worker->certs_more = true;
        }
    }
    if (!worker->certs_more)
        fill_gaps(worker, brief);
    worker->certs_behind = behind || worker->certs_more;
    view.epoch = epoch;
    view.patient = patient;
    view.looked = !worker->certs_more;
    view.late_ms = worker->loop.now_ms + CERTS_LATE_MS;
    view.all = have_all(worker);
    return view.all;
}
