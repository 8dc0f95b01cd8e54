#include "acmed/key/signer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "acmed/key/csr.h"
#include "acmed/key/jose.h"
#include "acmed/key/payload.h"
#include "acmed/key/secret.h"
#include "acmed/net/ipc.h"
#include "acmed/order/job.h"
#include "base/clock.h"
#include "base/log.h"
#include "shm/challenges.h"

enum { CHALLENGE_MS = JOB_DEADLINE_MS }; /* a row that is not removed expires */

struct signer {
    struct jose_key *account, *next_account;
    struct csr_key *certificate;
    struct jose_key *certificate_jose; /* the certificate's key, for JOB_REVOKE */
    char *eab_hmac;
    const char *const *names;
    size_t n_names;
    const char *preferred_chain;
    struct table *table;
    bool used[TABLE_CHALLENGES]; /* rows in use by this signer */
    char *chain;                 /* the best one so far */
    size_t n_chain;
    struct payloads payloads; /* what may be signed; signer_bind() */
    char *text;               /* owns the bytes of the last reply */
    char says[CSR_ERROR_SIZE];
};

/* ---- lifecycle */

static bool read_keys(struct signer *s, const struct signer_keys *keys)
{
    if (keys->account.n && !(s->account = jose_key_read(keys->account)))
        return false;
    if (keys->next_account.n && !(s->next_account = jose_key_read(keys->next_account)))
        return false;
    if (keys->certificate.n && !(s->certificate = csr_key_read(keys->certificate)))
        return false;
    if (keys->certificate.n)
        s->certificate_jose = jose_key_read(keys->certificate);
    if (keys->eab_hmac.n)
        s->eab_hmac = secret_copy(keys->eab_hmac);
    return true;
}

struct signer *signer_new(const struct signer_keys *keys, const char *const *names,
                          size_t n_names, const char *preferred_chain, struct table *table)
{
    struct signer *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->names = names;
    s->n_names = n_names;
    s->preferred_chain = preferred_chain;
    s->table = table;
    if (read_keys(s, keys))
        return s;
    signer_free(s);
    errno = EINVAL;
    return NULL;
}

bool signer_bind(struct signer *s, const struct ipc_begin *begin)
{
    payloads_release(&s->payloads);
    return payloads_init(&s->payloads, begin);
}

static void clear_row(struct signer *s, uint32_t i)
{
    challenge_clear(s->table, i);
    s->used[i] = false;
}

void signer_free(struct signer *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; i < TABLE_CHALLENGES; i++)
        if (s->used[i])
            clear_row(s, i);
    jose_key_free(s->account);
    jose_key_free(s->next_account);
    jose_key_free(s->certificate_jose);
    csr_key_free(s->certificate);
    secret_free(s->eab_hmac);
    payloads_release(&s->payloads);
    free(s->chain);
    free(s->text);
    free(s);
}

/* ---- replies */

/* A positive reply with this text; NULL: negative. Takes ownership of the text. */
static void reply_text(struct signer *s, char *text, struct ipc_message *reply)
{
    free(s->text);
    s->text = text;
    reply->reply.number = text != NULL;
    reply->reply.bytes = str_from(text);
}

/* {"account": URL, "oldKey": JWK}, signed by the new key (RFC 8555 section 7.3.5). */
static char *rollover(const struct signer *s, const char *url, const char *account)
{
    char jwk[JOSE_JWK_SIZE], *payload, *jws = NULL;

    if (!s->next_account || asprintf(&payload, "{\"account\":\"%s\",\"oldKey\":%s}", account,
                                     jose_jwk(s->account, jwk)) < 0)
        return NULL;
    jws = jose_jws(s->next_account, "", "", url, str_from(payload));
    free(payload);
    return jws;
}

static char *sign_by(const struct signer *s, const struct ipc_sign *q)
{
    char url[JOB_URL_SIZE], kid[JOB_URL_SIZE], nonce[257];
    const struct jose_key *key =
        q->how == IPC_WITH_CERTIFICATE ? s->certificate_jose : s->account;

    if (!key || !q->url.n || !payloads_allow(&s->payloads, q) ||
        (q->kid.n == 0 && (q->how == IPC_WITH_KID || q->how == IPC_EAB)))
        return NULL;
    str_copy(url, sizeof url, q->url);
    str_copy(kid, sizeof kid, q->kid);
    str_copy(nonce, sizeof nonce, q->nonce);
    switch ((enum ipc_how)q->how) {
    case IPC_WITH_JWK:
    case IPC_WITH_CERTIFICATE:
        return jose_jws(key, "", nonce, url, q->payload);
    case IPC_WITH_KID:
        return jose_jws(key, kid, nonce, url, q->payload);
    case IPC_EAB:
        return s->eab_hmac ? jose_eab(key, kid, str_from(s->eab_hmac), url) : NULL;
    case IPC_ROLLOVER:
        return ipc_is_url(q->kid) ? rollover(s, url, kid) : NULL;
    default:
        return NULL;
    }
}

static char *sign(struct signer *s, const struct ipc_sign *q)
{
    char *jws = sign_by(s, q);

    if (q->how == IPC_EAB)
        payloads_made_eab(&s->payloads, jws);
    if (q->how == IPC_ROLLOVER)
        payloads_made_rollover(&s->payloads, jws);
    return jws;
}

static char *csr(struct signer *s)
{
    size_t n = 0;
    uint8_t *der = s->certificate ? csr_make(s->certificate, s->names, s->n_names, &n) : NULL;
    char *text = der ? jose_b64_encode(der, n) : NULL;

    free(der);
    payloads_made_csr(&s->payloads, text);
    return text;
}

/* ---- challenges */

static bool key_authorization(const struct signer *s, struct str token,
                              char out[SIGNER_KEY_AUTHORIZATION_SIZE])
{
    char thumbprint[JOSE_THUMBPRINT_SIZE];

    if (!s->account || !ipc_is_token(token))
        return false;
    snprintf(out, SIGNER_KEY_AUTHORIZATION_SIZE, "%.*s.%s", STR_ARG(token),
             jose_thumbprint(s->account, thumbprint));
    return true;
}

/* The CA validates "*.a.test" as "a.test". */
static bool signer_is_ours(const struct signer *s, struct str name)
{
    for (size_t i = 0; i < s->n_names; i++) {
        struct str ours = str_from(s->names[i]);

        if (ipc_same_name(str_starts(ours, STR("*.")) ? str_skip(ours, 2) : ours, name))
            return true;
    }
    return false;
}

bool signer_dns_value(const struct signer *s, const struct ipc_challenge *q,
                      char out[SIGNER_DNS_VALUE_SIZE])
{
    char text[SIGNER_KEY_AUTHORIZATION_SIZE];

    if (!signer_is_ours(s, q->name) || !key_authorization(s, q->token, text))
        return false;
    jose_digest(str_from(text), out);
    return true;
}

static bool same_challenge(const struct challenge_row *row, const struct ipc_challenge *q)
{
    return row->kind == q->kind && str_eq(str_from(row->token), q->token) &&
           str_eq_case(str_from(row->name), q->name);
}

static int free_row(const struct signer *s)
{
    int n = (int)table_challenges(s->table);
    struct challenge_row row;

    for (int i = 0; i < n; i++)
        if (!s->used[i] && atomic_load(&s->table->challenge_key[i]) == 0 &&
            challenge_read(&s->table->challenge[i], &row) && row.kind == CHALLENGE_FREE)
            return i;
    return -1;
}

static bool put_challenge(struct signer *s, const struct ipc_challenge *q)
{
    struct challenge_row row = {.kind = (uint8_t)q->kind,
                                .expires_ms = clock_mono_ms() + CHALLENGE_MS};
    int i;

    _Static_assert(sizeof row.key_authorization >= SIGNER_KEY_AUTHORIZATION_SIZE, "room");
    if (!signer_is_ours(s, q->name) || !key_authorization(s, q->token, row.key_authorization))
        return false;
    i = free_row(s);
    if (i < 0) {
        log_error("all %u slots for challenges are in use, so %.*s cannot be validated now; it "
                  "is retried later; certificates with fewer names need fewer slots at a time",
                  table_challenges(s->table), STR_ARG(q->name));
        return false;
    }
    str_copy(row.token, sizeof row.token, q->token);
    str_copy(row.name, sizeof row.name, q->name);
    s->used[i] = true;
    challenge_put(s->table, (uint32_t)i, &row);
    return true;
}

static void drop_challenge(struct signer *s, const struct ipc_challenge *q)
{
    struct challenge_row row;

    for (uint32_t i = 0; i < TABLE_CHALLENGES; i++)
        if (s->used[i] && challenge_read(&s->table->challenge[i], &row) &&
            same_challenge(&row, q))
            clear_row(s, i);
}

bool signer_mark(struct signer *s, char token[SIGNER_MARKER_SIZE],
                 char text[SIGNER_MARKER_SIZE])
{
    struct challenge_row row = {.kind = JOB_HTTP_01,
                                .expires_ms = clock_mono_ms() + CHALLENGE_MS};
    uint64_t random[4];
    int i = free_row(s);

    if (i < 0 || getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    snprintf(token, SIGNER_MARKER_SIZE, "pasgate-%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    snprintf(text, SIGNER_MARKER_SIZE, "pasgate-%016llx%016llx", (unsigned long long)random[2],
             (unsigned long long)random[3]);
    str_copy(row.token, sizeof row.token, str_from(token));
    str_copy(row.key_authorization, sizeof row.key_authorization, str_from(text));
    s->used[i] = true;
    challenge_put(s->table, (uint32_t)i, &row);
    return true;
}

/* ---- chains */

static void judge_chain(struct signer *s, struct str pem, struct ipc_message *reply)
{
    const char *wanted = s->preferred_chain;
    bool preferred;
    char *copy;

    reply->reply.number = IPC_CHAIN_BAD;
    if (!s->certificate || csr_check_chain(s->certificate, pem, s->names, s->n_names,
                                           clock_wall_ms(), s->says) < 0) {
        reply->reply.bytes = str_from(s->says);
        return;
    }
    preferred = !wanted || !wanted[0] || csr_chain_has_issuer(pem, wanted);
    reply->reply.number = preferred ? IPC_CHAIN_PREFERRED : IPC_CHAIN_GOOD;
    if ((s->chain && !preferred) || !(copy = strndup(pem.p, pem.n)))
        return; /* an earlier chain is as good as this one, which is not preferred either */
    free(s->chain);
    s->chain = copy;
    s->n_chain = strlen(copy);
}

struct str signer_chain(const struct signer *s)
{
    return str_make(s->chain, s->n_chain);
}

bool signer_serve(struct signer *s, const struct ipc_message *question,
                  struct ipc_message *reply)
{
    *reply = (struct ipc_message){.type = IPC_REPLY};
    switch (question->type) {
    case IPC_SIGN:
        reply_text(s, sign(s, &question->sign), reply);
        return true;
    case IPC_CSR:
        reply_text(s, csr(s), reply);
        return true;
    case IPC_PUT:
        reply->reply.number = put_challenge(s, &question->challenge);
        return true;
    case IPC_DROP:
        drop_challenge(s, &question->challenge);
        return true;
    case IPC_CHAIN:
        judge_chain(s, question->chain.pem, reply);
        return true;
    default:
        return false;
    }
}
