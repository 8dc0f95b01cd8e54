#include "worker/certs.h"

#include <stdio.h>

#include "base/conf.h"
#include "base/log.h"
#include "shm/certs.h"
#include "worker/core.h"
#include "worker/tls.h"

enum { STORE_PATH_MAX = 4096 };

static void load(struct worker *worker, uint32_t i, const struct cert_row *row)
{
    char chain[STORE_PATH_MAX], key[STORE_PATH_MAX], error[TLS_ERROR_SIZE];
    const char *store = worker->conf->acme.store;

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, row->name,
             row->generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, row->name, row->generation);
    if (tls_engine_load(worker->tls, i, chain, key, error, sizeof error) < 0) {
        static struct log_gate gate;

        if (log_gate_open(&gate))
            log_error("certificate %s: generation %u does not load: %s", row->name,
                      row->generation, error);
        return;
    }
    atomic_store(&worker->row->cert_loaded[i], row->generation);
    log_debug("certificate %s: generation %u loaded", row->name, row->generation);
}

bool certs_refresh(struct worker *worker)
{
    bool all = true;

    if (!worker->tls)
        return true;
    for (uint32_t i = 0; i < worker->conf->n_certs; i++) {
        char folder[CERT_FOLDER_SIZE];
        struct cert_row row;

        cert_folder(folder, worker->conf->certs[i].name);
        if (!cert_find(worker->table, folder, i, &row) || !row.generation) {
            all = false;
            continue;
        }
        if (row.generation != atomic_load(&worker->row->cert_loaded[i]))
            load(worker, i, &row);
        all &= tls_engine_has(worker->tls, i);
    }
    return all;
}
