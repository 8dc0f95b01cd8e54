#include "worker/prover.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/certs.h"
#include "worker/core.h"
#include "worker/tls_prove.h"

enum { STORE_PATH_MAX = 4096 };

static struct {
    struct worker *worker;
    struct tls_proof *proof; /* NULL: nothing is under way */
    uint32_t cert, candidate;
    struct loop_timer turn;
} prover;

/* What we said last of this certificate. */
static uint32_t told(const struct worker *w, uint32_t cert)
{
    return cert_finding_unpack(atomic_load(&w->row->cert_proof[cert])).candidate;
}

static void tell(struct worker *w, uint32_t cert, uint32_t candidate,
                 const struct tls_verdict *verdict)
{
    const struct cert_finding finding = {.candidate = candidate,
                                         .proof = verdict->proof,
                                         .name = verdict->name,
                                         .partly = verdict->partly};

    if (verdict->proof == CERT_PROOF_GOOD)
        log_info("certificate %s: generation %u is proved", w->conf->certs[cert].name,
                 candidate);
    else
        log_warn("certificate %s: generation %u: %s", w->conf->certs[cert].name, candidate,
                 verdict->text);
    atomic_store(&w->row->cert_proof[cert], cert_finding_pack(&finding));
    fd_ring(w->heritage->doorbell_acmed);
}

void prover_end(void)
{
    tls_proof_free(prover.proof);
    prover.proof = NULL;
    loop_timer_cancel(&prover.turn);
}

static void turn(struct loop_timer *timer)
{
    uint64_t start = clock_mono_us();
    struct tls_verdict verdict;

    while (tls_proof_step(prover.proof, &verdict))
        if (clock_mono_us() - start >= PROVER_TURN_US) {
            loop_timer_set(&prover.worker->loop, timer, 0);
            return;
        }
    prover_end();
    tell(prover.worker, prover.cert, prover.candidate, &verdict);
    prover_look(prover.worker); /* another one may have come meanwhile */
}

static void begin(struct worker *w, uint32_t cert, const struct cert_row *row)
{
    struct tls_verdict verdict = {.proof = CERT_PROOF_LOAD};
    char chain[STORE_PATH_MAX], key[STORE_PATH_MAX];
    const char *store = w->conf->acme.store;

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, row->name,
             row->candidate);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, row->name, row->candidate);
    prover.worker = w;
    prover.cert = cert;
    prover.candidate = row->candidate;
    prover.turn.fire = turn;
    prover.proof = tls_proof_new(w->tls, cert, chain, key, verdict.text, sizeof verdict.text);
    if (prover.proof)
        loop_timer_set(&w->loop, &prover.turn, 0);
    else
        tell(w, cert, row->candidate, &verdict);
}

static bool is_ours(const struct worker *w, const struct cert_row *row)
{
    return row->candidate && row->prover == (uint32_t)w->heritage->row;
}

void prover_look(struct worker *w)
{
    struct cert_row row;
    char folder[CERT_FOLDER_SIZE];

    if (!w->tls)
        return;
    if (prover.proof &&
        cert_find(w->table, cert_folder(folder, w->conf->certs[prover.cert].name), prover.cert,
                  &row) &&
        (!is_ours(w, &row) || row.candidate != prover.candidate))
        prover_end(); /* it is another one's by now, or dropped */
    for (uint32_t i = 0; !prover.proof && i < w->conf->n_certs; i++)
        if (cert_find(w->table, cert_folder(folder, w->conf->certs[i].name), i, &row) &&
            is_ours(w, &row) && told(w, i) != row.candidate)
            begin(w, i, &row);
}
