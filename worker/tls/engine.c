/* Certificates, policy, and the choice of the certificate for a client. */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "worker/tls/internal.h"

/* The first list that this OpenSSL accepts is used: 3.5 and later have the hybrid group. */
static const char *const tls_groups[] = {
    "X25519MLKEM768:X25519:P-256:P-384",
    "X25519:P-256:P-384",
};

/* Protocols that we speak, best first, as ALPN spells them (RFC 7301). */
static const struct {
    const char *name;
    enum tls_alpn alpn;
} tls_protocols[] = {
    {"h2", TLS_ALPN_H2},
    {"http/1.1", TLS_ALPN_HTTP1},
    {"http/1.0", TLS_ALPN_HTTP1},
};

/* If a file cannot be opened, the last entry says "system lib"; the entry of the system call is
 * before it and has errno. */
static const char *tls_engine_openssl_says(void)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    unsigned long first = ERR_peek_error();

    return first && ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first)) : why;
}

/* The same for acmed, which tells operators. */
static void tls_engine_note_why(struct tls_engine *engine)
{
    unsigned long first = ERR_peek_error(), last = ERR_peek_last_error();
    int reason = ERR_GET_LIB(last) == ERR_LIB_SSL ? ERR_GET_REASON(last) : 0;
    bool file = first && ERR_SYSTEM_ERROR(first);

    engine->why = file                               ? CERT_WHY_FILE
                  : reason == SSL_R_EE_KEY_TOO_SMALL ? CERT_WHY_KEY
                  : reason == SSL_R_CA_KEY_TOO_SMALL ? CERT_WHY_CA_KEY
                  : reason == SSL_R_CA_MD_TOO_WEAK   ? CERT_WHY_CA_HASH
                                                     : CERT_WHY_OTHER;
    engine->why_error = file ? (uint8_t)ERR_GET_REASON(first) : 0;
}

/* "what: why" from OpenSSL's error queue, which is empty afterwards. */
static int say(char *err, size_t n, const char *what)
{
    const char *why = tls_engine_openssl_says();

    snprintf(err, n, "%s: %s", what, why ? why : "failed");
    ERR_clear_error();
    return -1;
}

/* ---- choosing */

static int tls_engine_name_cmp(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    int d = strcmp(x->name, y->name);

    return d ? d : (x->cert > y->cert) - (x->cert < y->cert);
}

/* Collects the names of all certificates. A wildcard is stored as ".example.com", which cannot
 * be a host name. */
static int names_build(struct tls_engine *engine)
{
    const struct conf *conf = engine->conf;
    size_t n = 0;

    for (size_t i = 0; i < conf->n_certs; i++)
        n += conf->certs[i].n_names;
    if (!(engine->names = calloc(n ? n : 1, sizeof *engine->names)))
        return -1;
    for (uint32_t i = 0; i < conf->n_certs; i++)
        for (size_t j = 0; j < conf->certs[i].n_names; j++) {
            const char *name = conf->certs[i].names[j];

            engine->names[engine->nnames++] =
                (struct tls_name){name[0] == '*' ? name + 1 : name, i};
        }
    qsort(engine->names, engine->nnames, sizeof *engine->names, tls_engine_name_cmp);
    return 0;
}

/* The first certificate with this name, or -1. */
static int names_find(const struct tls_engine *engine, const char *name)
{
    size_t low = 0, high = engine->nnames;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(engine->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == engine->nnames || strcmp(engine->names[low].name, name) != 0)
        return -1;
    return (int)engine->names[low].cert;
}

uint32_t tls_engine_choose(const struct tls_engine *engine, const char *name, size_t n)
{
    char lower[CONF_HOST_LEN + 1];
    int found = -1;

    /* a root label must not be sent (RFC 6066 section 3), but some send it */
    if (n && name[n - 1] == '.')
        n--;
    if (n == 0 || n > CONF_HOST_LEN || name[0] == '.' || memchr(name, '\0', n))
        return 0;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)ascii_lower((unsigned char)name[i]);
    lower[n] = '\0';
    found = names_find(engine, lower);
    const char *dot = strchr(lower, '.');
    if (found < 0 && dot)
        found = names_find(engine, dot);
    return found < 0 ? 0 : (uint32_t)found;
}

/* The context of this certificate, else that of the first one that is loaded; NULL if none
 * is. */
static SSL_CTX *engine_ctx(const struct tls_engine *engine, uint32_t *cert)
{
    SSL_CTX *ctx;

    if (engine->trial && tls_dual_first(engine, engine->trial_cert) == *cert)
        return engine->trial;
    if ((ctx = tls_dual_context(engine, cert)))
        return ctx;
    for (uint32_t i = 0; i < engine->conf->n_certs; i++)
        if (engine->ctx[i]) {
            *cert = i;
            return engine->ctx[i];
        }
    return NULL;
}

bool tls_engine_has(const struct tls_engine *engine, uint32_t cert_index)
{
    return cert_index < engine->conf->n_certs && engine->ctx[cert_index];
}

bool tls_engine_ready(const struct tls_engine *engine)
{
    uint32_t cert = 0;

    return engine_ctx(engine, &cert) != NULL;
}

/* ---- callbacks */

/* Runs before the rest of the ClientHello is processed, so that a ticket too is checked under
 * the certificate that was requested (CVE-2025-23419: it was checked under the default one).
 * Malformed extensions are left to OpenSSL, which refuses them later. */
static int choose_context(SSL *ssl, struct tls_engine *engine)
{
    const unsigned char *p;
    size_t n;

    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) != 1 || n < 5 ||
        p[2] != TLSEXT_NAMETYPE_host_name)
        return SSL_CLIENT_HELLO_SUCCESS;
    size_t len = (size_t)p[3] << 8 | p[4];
    if (len > n - 5)
        return SSL_CLIENT_HELLO_SUCCESS;
    if (tls_alpn_acme_offered(ssl)) {
        if (tls_alpn_acme_reply(engine, ssl, (const char *)p + 5, len))
            engine->current->alpn = TLS_ALPN_ACME;
        return SSL_CLIENT_HELLO_SUCCESS; /* if not, on_alpn() finds no protocol that we speak */
    }
    uint32_t cert = tls_engine_choose(engine, (const char *)p + 5, len);
    SSL_CTX *ctx = engine_ctx(engine, &cert);
    if (ctx && ctx != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, ctx))
        return SSL_CLIENT_HELLO_ERROR;
    engine->current->cert = (uint16_t)cert;
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls_engine *engine = arg;
    struct tls_conn *conn = engine->current;

    (void)alert;
    if (choose_context(ssl, engine) != SSL_CLIENT_HELLO_SUCCESS)
        return SSL_CLIENT_HELLO_ERROR;
    if (!conn->client)
        return SSL_CLIENT_HELLO_SUCCESS;
    if (conn->alpn == TLS_ALPN_ACME) { /* the CA has no certificate, and gets no data */
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
        conn->client = NULL;
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    return tls_client_apply(conn) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* The choice has been made already; this makes OpenSSL confirm the name and remember it for the
 * log. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    struct tls_engine *engine = arg;

    (void)ssl;
    if (engine->current->alpn == TLS_ALPN_ACME) { /* the only protocol that the client offers */
        *out = in + 1;
        *out_n = in[0];
        return SSL_TLSEXT_ERR_OK;
    }
    for (size_t i = 0; i < sizeof tls_protocols / sizeof *tls_protocols; i++) {
        size_t n = strlen(tls_protocols[i].name);

        if (tls_protocols[i].alpn == TLS_ALPN_H2 && !engine->current->offers_h2)
            continue;
        for (unsigned at = 0; at < in_n && at + 1 + in[at] <= in_n; at += 1u + in[at]) {
            if (in[at] != n || memcmp(in + at + 1, tls_protocols[i].name, n) != 0)
                continue;
            *out = in + at + 1;
            *out_n = in[at];
            engine->current->alpn = (uint8_t)tls_protocols[i].alpn;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol (RFC 7301 section 3.2) */
}

static void tls_engine_on_message(int sent, int version, int type, const void *bytes, size_t n,
                                  SSL *ssl, void *arg)
{
    struct tls_engine *engine = arg;
    struct tls_conn *conn = engine->current;

    (void)version, (void)ssl;
    if (!sent && type == SSL3_RT_HANDSHAKE && n &&
        *(const unsigned char *)bytes == SSL3_MT_KEY_UPDATE && conn->key_updates < UINT8_MAX)
        conn->key_updates++;
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return 0; /* a daemon has nobody to ask for a passphrase */
}

/* ---- contexts */

/* Tickets of one certificate or policy are not valid under another one: otherwise a session
 * that began under a weaker policy could be resumed under a stricter one. */
static int bind_sessions(const struct tls_engine *engine, SSL_CTX *ctx, uint32_t cert)
{
    const struct conf_tls *tls = &engine->conf->tls;
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *name = engine->conf->certs[tls_dual_first(engine, cert)].name;
    const char *parts[] = {name, tls->ciphers, tls->ciphersuites, tls->groups,
                           tls->min_version == CONF_TLS_1_3 ? "1.3" : "1.2"};
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; good && i < sizeof parts / sizeof *parts; i++)
        good = EVP_DigestUpdate(md, parts[i], strlen(parts[i]) + 1) == 1;
    good = good && EVP_DigestFinal_ex(md, id, &n) == 1 &&
           SSL_CTX_set_session_id_context(ctx, id, n) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : -1;
}

static int set_groups(struct tls_engine *engine, SSL_CTX *ctx)
{
    const char *asked = engine->conf->tls.groups;

    if (asked[0] && strcmp(asked, "auto") != 0)
        return SSL_CTX_set1_groups_list(ctx, asked) == 1 ? 0 : -1;
    if (engine->groups)
        return SSL_CTX_set1_groups_list(ctx, engine->groups) == 1 ? 0 : -1;
    for (size_t i = 0; i < sizeof tls_groups / sizeof *tls_groups; i++)
        if (SSL_CTX_set1_groups_list(ctx, tls_groups[i]) == 1) {
            engine->groups = tls_groups[i];
            ERR_clear_error();
            return 0;
        }
    return -1;
}

void tls_engine_adopt(struct tls_engine *engine, SSL_CTX *ctx)
{
    SSL_CTX_set_app_data(ctx, engine);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_msg_callback(ctx, tls_engine_on_message);
    SSL_CTX_set_msg_callback_arg(ctx, engine);
}

/* A context with the whole policy and no certificate. NULL and a line in err. */
static SSL_CTX *ctx_new(struct tls_engine *engine, char *err, size_t n)
{
    const struct conf_tls *tls = &engine->conf->tls;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    const char *bad = NULL;

    if (!ctx)
        goto out;
    tls_engine_adopt(engine, ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, engine);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, engine);
    if (SSL_CTX_set_min_proto_version(
            ctx, tls->min_version == CONF_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
        bad = "tls.min_version";
    else if (SSL_CTX_set_cipher_list(ctx, tls->ciphers) != 1)
        bad = "tls.ciphers";
    else if (SSL_CTX_set_ciphersuites(ctx, tls->ciphersuites) != 1)
        bad = "tls.ciphersuites";
    else if (set_groups(engine, ctx) != 0)
        bad = "tls.groups";
    else if (tls_ticket_setup(engine, ctx) != 0)
        bad = "tls.tickets";
out:
    if (ctx && !bad)
        return ctx;
    say(err, n, bad ? bad : "OpenSSL");
    SSL_CTX_free(ctx);
    return NULL;
}

/* The same for one certificate, whose sessions it binds. */
static SSL_CTX *ctx_new_for(struct tls_engine *engine, uint32_t cert_index, char *err, size_t n)
{
    SSL_CTX *ctx = ctx_new(engine, err, n);

    if (!ctx || bind_sessions(engine, ctx, cert_index) == 0)
        return ctx;
    say(err, n, "session id context");
    SSL_CTX_free(ctx);
    return NULL;
}

SSL_CTX *tls_engine_context(struct tls_engine *engine, uint32_t cert_index,
                            const char *chain_path, const char *key_path, char *err, size_t n)
{
    const char *bad = NULL;
    SSL_CTX *ctx;

    engine->why = CERT_WHY_OTHER;
    engine->why_error = 0;
    if (cert_index >= engine->conf->n_certs) {
        snprintf(err, n, "no certificate %u", (unsigned)cert_index);
        return NULL;
    }
    if (!(ctx = ctx_new_for(engine, cert_index, err, n)))
        return NULL;
    if (SSL_CTX_use_certificate_chain_file(ctx, chain_path) != 1)
        bad = chain_path;
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
        bad = key_path;
    else if (SSL_CTX_check_private_key(ctx) != 1)
        bad = key_path;
    if (bad) {
        tls_engine_note_why(engine);
        say(err, n, bad);
        SSL_CTX_free(ctx);
        return NULL;
    }
    ERR_clear_error(); /* the chain reader leaves "no start line" in the error queue */
    return ctx;
}

/* Puts a complete context to use, and frees it if that fails. 0, or -1 and a line in err. */
static int engine_take(struct tls_engine *engine, uint32_t cert_index, SSL_CTX *ctx,
                       bool temporary, char *err, size_t n)
{
    SSL_CTX *both = NULL;

    if (tls_dual_joins(engine, cert_index) &&
        !(both = ctx_new_for(engine, tls_dual_first(engine, cert_index), err, n))) {
        SSL_CTX_free(ctx);
        return -1;
    }
    return tls_dual_take(engine, cert_index, ctx, both, temporary, err, n);
}

int tls_engine_stand_in(struct tls_engine *engine, uint32_t cert_index, char *err, size_t n)
{
    SSL_CTX *ctx = cert_index < engine->conf->n_certs ? ctx_new(engine, err, n) : NULL;
    const struct conf_cert *cert = ctx ? &engine->conf->certs[cert_index] : NULL;

    if (!ctx)
        return -1;
    if (!tls_stand_in_use(ctx, cert->names, cert->n_names) ||
        bind_sessions(engine, ctx, cert_index) != 0) {
        say(err, n, "a certificate of our own");
        SSL_CTX_free(ctx);
        return -1;
    }
    return engine_take(engine, cert_index, ctx, true, err, n);
}

int tls_engine_load(struct tls_engine *engine, uint32_t cert_index, const char *chain_path,
                    const char *key_path, char *err, size_t n)
{
    SSL_CTX *ctx = tls_engine_context(engine, cert_index, chain_path, key_path, err, n);
    bool temporary = engine->next_is_temporary;

    engine->next_is_temporary = false;
    return ctx ? engine_take(engine, cert_index, ctx, temporary, err, n) : -1;
}

void tls_engine_temporary(struct tls_engine *engine)
{
    engine->next_is_temporary = true;
}

/* ---- engine */

void tls_engine_challenges(struct tls_engine *engine, const struct table *table)
{
    engine->table = table;
}

void tls_prepare(void)
{
    OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL);
    ERR_clear_error();
}

struct tls_engine *tls_engine_new(const struct conf *conf, char *err, size_t n)
{
    struct tls_engine *engine = calloc(1, sizeof *engine);
    SSL_CTX *trial = NULL;

    snprintf(err, n, "out of memory");
    if (!engine)
        return NULL;
    engine->conf = conf;
    if (tls_engine_init_io(engine) < 0)
        goto fail;
    engine->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (!engine->ticket_cipher || names_build(engine) != 0)
        goto fail;
    if (!(trial = ctx_new(engine, err, n)))
        goto fail;
    SSL_CTX_free(trial);
    for (size_t i = 0; i < conf->n_listen; i++)
        if (conf->listen[i].client_cert != CONF_CLIENT_CERT_NONE &&
            tls_client_init(&engine->client[i], &conf->listen[i], &conf->tls, err, n) < 0)
            goto fail;
    err[0] = '\0';
    return engine;
fail:
    tls_engine_free(engine);
    return NULL;
}

void tls_engine_free(struct tls_engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < CONF_MAX_CERTS; i++) {
        SSL_CTX_free(engine->ctx[i]);
        SSL_CTX_free(engine->both[i]);
    }
    for (size_t i = 0; i < CONF_MAX_LISTENERS; i++)
        tls_client_release(&engine->client[i]);
    EVP_CIPHER_free(engine->ticket_cipher);
    BIO_meth_free(engine->method);
    OPENSSL_cleanse(&engine->ring, sizeof engine->ring);
    mempool_release(&engine->conns);
    mempool_release(&engine->blocks);
    free(engine->names);
    free(engine->rx.bytes);
    free(engine->tx.bytes);
    free(engine);
}

SSL *tls_engine_session(struct tls_engine *engine, uint32_t *cert)
{
    *cert = 0;
    SSL_CTX *ctx = engine_ctx(engine, cert);

    return ctx ? SSL_new(ctx) : NULL;
}
