#include "shm/handshake.h"

const char *handshake_failure_name(enum handshake_failure failure)
{
    static const char *const names[HANDSHAKE_FAILURES] = {
        [HANDSHAKE_TIMEOUT] = "timeout",
        [HANDSHAKE_CLOSED] = "closed",
        [HANDSHAKE_PLAIN_HTTP] = "plain_http",
        [HANDSHAKE_NOT_TLS] = "not_tls",
        [HANDSHAKE_VERSION] = "no_shared_version",
        [HANDSHAKE_CIPHER] = "no_shared_cipher",
        [HANDSHAKE_GROUP] = "no_shared_group",
        [HANDSHAKE_ALPN] = "no_shared_alpn",
        [HANDSHAKE_CERTIFICATE_REFUSED] = "certificate_refused",
        [HANDSHAKE_CLIENT_CERTIFICATE] = "client_certificate",
        [HANDSHAKE_OTHER] = "other",
    };

    return failure < HANDSHAKE_FAILURES ? names[failure] : "other";
}
