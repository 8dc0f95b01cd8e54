/* Why a handshake failed, reduced to a few reasons. */
#include <openssl/ssl.h>

#include "worker/tls/internal.h"

/* A method in capitals and a space: HTTP without TLS begins like this, and no TLS record
 * does. */
static bool looks_like_http(const struct tls_conn *conn)
{
    unsigned i = 0;

    while (i < conn->nfirst && conn->first[i] >= 'A' && conn->first[i] <= 'Z')
        i++;
    return i >= 3 && (i == sizeof conn->first || (i < conn->nfirst && conn->first[i] == ' '));
}

/* The client's alerts (RFC 8446 section 6.2), which OpenSSL numbers after its own reasons. */
static enum handshake_failure by_alert(int alert)
{
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        return HANDSHAKE_CERTIFICATE_REFUSED;
    case SSL_AD_PROTOCOL_VERSION:
        return HANDSHAKE_VERSION;
    case SSL_AD_USER_CANCELLED:
        return HANDSHAKE_CLOSED;
    default:
        return HANDSHAKE_OTHER;
    }
}

enum handshake_failure tls_conn_failure(const struct tls_conn *conn)
{
    if (conn->reason && looks_like_http(conn))
        return HANDSHAKE_PLAIN_HTTP;
    if (conn->reason > SSL_AD_REASON_OFFSET)
        return by_alert(conn->reason - SSL_AD_REASON_OFFSET);
    switch (conn->reason) {
    case 0:
        return HANDSHAKE_CLOSED;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return HANDSHAKE_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return HANDSHAKE_CIPHER;
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
        return HANDSHAKE_GROUP;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return HANDSHAKE_CLIENT_CERTIFICATE;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return HANDSHAKE_ALPN;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
    case SSL_R_LENGTH_MISMATCH:
    case SSL_R_LENGTH_TOO_SHORT:
    case SSL_R_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_BAD_PACKET:
    case SSL_R_BAD_EXTENSION:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_UNEXPECTED_RECORD:
        return HANDSHAKE_NOT_TLS;
    default:
        return HANDSHAKE_OTHER;
    }
}

bool tls_conn_heard(const struct tls_conn *conn)
{
    return conn->nfirst > 0;
}
