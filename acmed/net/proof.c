#include "acmed/net/proof.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"

/* ---- which worker */

bool proof_needed(const struct heritage *heritage)
{
    const struct conf *conf = heritage->conf;

    for (size_t i = 0; i < conf->n_listen; i++)
        if (conf->listen[i].tls)
            return true;
    return false;
}

/* Whether the row is a running worker of our generation, in which certificates have the same
 * index. */
static bool can_prove(const struct heritage *h, int row, struct child_row *child)
{
    return child_read(&h->table->child[row], child) && child->kind == KIND_WORKER &&
           child->state == CHILD_RUNNING && child->generation == h->generation &&
           worker_row_live(h->table, row);
}

/* The next usable worker after this row, cyclically; -1: none. */
static int next_prover(const struct heritage *h, int behind, struct child_row *child)
{
    for (int i = 1; i <= TABLE_WORKERS; i++) {
        int row = (behind + i) % TABLE_WORKERS;

        if (can_prove(h, row, child))
            return row;
    }
    return -1;
}

void proof_begin(struct proof *proof, uint32_t candidate)
{
    *proof = (struct proof){.candidate = candidate, .row = -1};
}

static enum proof_news proof_ask(struct proof *p, const struct heritage *h, uint64_t now_ms)
{
    struct child_row child;
    int row = next_prover(h, p->row, &child);

    if (row < 0) {
        if (p->deaths == 0)
            return PROOF_NONE;
        p->row = -1; /* workers died, maybe because of the candidate: the next one that comes up
                        is asked */
        return PROOF_WAITS;
    }
    p->row = row;
    p->incarnation = child.incarnation;
    p->until_ms = now_ms + PROOF_REPLY_MS;
    return PROOF_ASKS;
}

enum proof_news proof_look(struct proof *p, const struct heritage *h, uint32_t cert_index,
                           uint64_t now_ms, struct cert_finding *finding)
{
    struct child_row child;

    if (p->row < 0)
        return proof_ask(p, h, now_ms);
    if (!child_read(&h->table->child[p->row], &child))
        return PROOF_WAITS;
    if (child.incarnation == p->incarnation) {
        *finding =
            cert_finding_unpack(atomic_load(&h->table->worker[p->row].cert_proof[cert_index]));
        if (finding->candidate == p->candidate && finding->proof != CERT_PROOF_NONE)
            return PROOF_DONE;
        if (child.state == CHILD_RUNNING && now_ms < p->until_ms)
            return PROOF_WAITS;
    }
    if ((child.incarnation != p->incarnation || child.state == CHILD_BACKOFF) &&
        ++p->deaths >= PROOF_DEATHS)
        return PROOF_DIES;
    return proof_ask(p, h, now_ms);
}

bool proof_doubt(struct proof *p, const struct heritage *h, uint64_t now_ms)
{
    struct child_row child;

    if (p->doubted || next_prover(h, p->row, &child) == p->row)
        return false;
    p->doubted = true;
    return proof_ask(p, h, now_ms) == PROOF_ASKS;
}

/* ---- findings */

#define SECURITY_LEVEL "OpenSSL's security level (@SECLEVEL in tls.ciphers)"

/* Short enough to follow "generation N was not accepted: " in a row. */
static void load_text(const struct cert_finding *f, char out[TABLE_REASON])
{
    static const char *const texts[] = {
        [CERT_WHY_OTHER] = "see the log",
        [CERT_WHY_KEY] = "its key is too small for " SECURITY_LEVEL,
        [CERT_WHY_CA_KEY] = "a key in its chain is too small for " SECURITY_LEVEL,
        [CERT_WHY_CA_HASH] = "a hash in its chain is too weak for " SECURITY_LEVEL,
    };

    if (f->why == CERT_WHY_FILE)
        snprintf(out, TABLE_REASON, "the workers cannot read it from the store: %s",
                 strerror(f->error));
    else
        snprintf(out, TABLE_REASON, "the workers cannot load it: %s", texts[f->why]);
}

static void handshake_text(const struct cert_finding *f, const char *name, const char *reason,
                           char out[TABLE_REASON])
{
    if (f->partly && reason)
        snprintf(out, TABLE_REASON,
                 "it does not work with every version of TLS: %s; see tls.ciphers", reason);
    else if (f->partly)
        snprintf(out, TABLE_REASON,
                 "it does not work with every version of TLS: see tls.ciphers and the log");
    else
        snprintf(out, TABLE_REASON, "no TLS handshake for %.80s succeeded with it: %s", name,
                 reason ? reason : "see the log");
}

bool proof_takes(const struct cert_finding *f, bool lenient)
{
    switch (f->proof) {
    case CERT_PROOF_GOOD:
        return true;
    case CERT_PROOF_HANDSHAKE:
        return f->partly; /* the live one may be no better, and this one works */
    case CERT_PROOF_NAMES:
    case CERT_PROOF_DATES:
    case CERT_PROOF_CHAIN:
        return lenient;
    default:
        return false;
    }
}

void proof_text(const struct cert_finding *f, const struct conf_cert *cert, const char *reason,
                char out[TABLE_REASON])
{
    const char *name =
        f->name > 0 && f->name <= cert->n_names ? cert->names[f->name - 1] : cert->name;

    switch (f->proof) {
    case CERT_PROOF_GOOD:
        out[0] = '\0';
        return;
    case CERT_PROOF_HANDSHAKE:
        handshake_text(f, name, reason, out);
        return;
    case CERT_PROOF_LEAF:
        snprintf(out, TABLE_REASON, "a client that asks for %.80s would not get it", name);
        return;
    case CERT_PROOF_NAMES:
        snprintf(out, TABLE_REASON, "the certificate is not for %.100s", name);
        return;
    case CERT_PROOF_DATES:
        snprintf(out, TABLE_REASON, "the certificate, or one of its chain, is not valid now");
        return;
    case CERT_PROOF_CHAIN:
        snprintf(out, TABLE_REASON,
                 "the chain is not in order: each certificate must be issued by the next");
        return;
    default:
        load_text(f, out);
        return;
    }
}
