/* TLS to backends: the policy that workers, healthd and the restarter share, as OpenSSL's
 * context. What is trusted, which versions, our certificate, which name is expected; and why a
 * handshake failed, in words.
 *
 * Parsed CAs are kept per process and shared by all pools that name the same file. One thread.
 */
#ifndef BASE_CONF_BACKEND_TLS_H
#define BASE_CONF_BACKEND_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct conf_backend;
struct conf_pool_tls;
struct ssl_ctx_st;
struct X509_VERIFY_PARAM_st;

enum { BACKEND_TLS_WHY = 160 };

/* Gives a client's context this policy. 0, or -1 and a line in err: no connection may be made
 * with the context. */
int backend_tls_setup(struct ssl_ctx_st *ctx, const struct conf_pool_tls *tls, char *err,
                      size_t n);

/* Can contexts be made of it? 0, or -1 and a line in err. */
int backend_tls_check(const struct conf_pool_tls *tls, char *err, size_t n);

/* The name that the certificate must be valid for, and that is sent as SNI unless it is an
 * address. */
const char *backend_tls_name(const struct conf_pool_tls *tls,
                             const struct conf_backend *backend);

bool backend_tls_is_address(const char *name);

/* Expects that name, a host name or an address. 0, or -1 without memory. */
int backend_tls_expect(struct X509_VERIFY_PARAM_st *param, const char *name);

/* What is wrong with a certificate, by the result of its verification (X509_V_ERR_...): "its
 * certificate has expired". Static text. */
const char *backend_tls_verify_text(long result);

/* Why a handshake failed otherwise, by the code of OpenSSL's error; 0: none. "it speaks no
 * TLS". Static text. */
const char *backend_tls_error_text(unsigned long code);

#endif
