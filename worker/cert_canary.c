#include "worker/cert_canary.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/certs.h"
#include "worker/core/core.h"
#include "worker/tls/selftest.h"

enum { STORE_PATH_MAX = 4096 };

static struct {
    struct worker *worker;
    struct tls_selftest *selftest; /* NULL: no test in progress */
    uint32_t cert, candidate;
    struct loop_timer turn;
} canary;

/* The candidate of this certificate that we reported on last. */
static uint32_t last_reported(const struct worker *w, uint32_t cert)
{
    return cert_finding_unpack(atomic_load(&w->row->cert_proof[cert])).candidate;
}

static void cert_canary_report(struct worker *w, uint32_t cert, uint32_t candidate,
                               const struct tls_selftest_result *verdict)
{
    const struct cert_finding finding = {.candidate = candidate,
                                         .proof = verdict->proof,
                                         .name = verdict->name,
                                         .partly = verdict->partly,
                                         .why = verdict->why,
                                         .error = verdict->error};

    if (verdict->proof == CERT_PROOF_GOOD)
        log_info("certificate %s: generation %u passed its self-test",
                 w->conf->certs[cert].name, candidate);
    else
        log_warn("certificate %s: generation %u: %s", w->conf->certs[cert].name, candidate,
                 verdict->text);
    atomic_store(&w->row->cert_proof[cert], cert_finding_pack(&finding));
    fd_ring(w->heritage->doorbell_acmed);
}

void cert_canary_end(void)
{
    tls_selftest_free(canary.selftest);
    canary.selftest = NULL;
    loop_timer_cancel(&canary.turn);
}

static void cert_canary_turn(struct loop_timer *timer)
{
    uint64_t start = clock_mono_us();
    struct tls_selftest_result verdict;

    while (tls_selftest_step(canary.selftest, &verdict))
        if (clock_mono_us() - start >= CERT_CANARY_TURN_US) {
            loop_timer_set(&canary.worker->loop, timer, 0);
            return;
        }
    cert_canary_end();
    cert_canary_report(canary.worker, canary.cert, canary.candidate, &verdict);
    cert_canary_look(canary.worker); /* another candidate may have come meanwhile */
}

static void cert_canary_begin(struct worker *w, uint32_t cert, const struct cert_row *row)
{
    struct tls_selftest_result verdict = {.proof = CERT_PROOF_LOAD};
    char chain[STORE_PATH_MAX], key[STORE_PATH_MAX];
    const char *store = w->conf->acme.store;

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, row->name,
             row->candidate);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, row->name, row->candidate);
    canary.worker = w;
    canary.cert = cert;
    canary.candidate = row->candidate;
    canary.turn.fire = cert_canary_turn;
    canary.selftest = tls_selftest_new(w->tls, cert, chain, key, &verdict);
    if (canary.selftest)
        loop_timer_set(&w->loop, &canary.turn, 0);
    else
        cert_canary_report(w, cert, row->candidate, &verdict);
}

static bool cert_canary_is_ours(const struct worker *w, const struct cert_row *row)
{
    return row->candidate && row->prover == (uint32_t)w->heritage->row;
}

/* A quick check without a copy of the row. Only workers of acmed's own configuration are asked
 * to test, and in that a certificate's row has the certificate's index. */
static bool may_be_ours(const struct worker *w, uint32_t i)
{
    return i < table_certs(w->table) &&
           __atomic_load_n(&w->table->cert[i].row.candidate, __ATOMIC_RELAXED) != 0;
}

void cert_canary_look(struct worker *w)
{
    static bool looked; /* all rows were checked at looked_epoch: nothing to do */
    static uint32_t looked_epoch;
    uint32_t epoch = atomic_load(&w->table->cert_epoch);
    struct cert_row row;
    char dir[CERT_DIR_SIZE];

    if (!w->tls)
        return;
    if (canary.selftest &&
        cert_find(w->table, cert_dir(dir, w->conf->certs[canary.cert].name), canary.cert,
                  &row) &&
        (!cert_canary_is_ours(w, &row) || row.candidate != canary.candidate))
        cert_canary_end(); /* another worker's by now, or dropped */
    if (canary.selftest || (looked && epoch == looked_epoch))
        return;
    for (uint32_t i = 0; !canary.selftest && i < w->conf->n_certs; i++)
        if (may_be_ours(w, i) &&
            cert_find(w->table, cert_dir(dir, w->conf->certs[i].name), i, &row) &&
            cert_canary_is_ours(w, &row) && last_reported(w, i) != row.candidate)
            cert_canary_begin(w, i, &row);
    looked = !canary.selftest;
    looked_epoch = epoch;
}
