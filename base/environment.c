#include "base/environment.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* Variables that libraries read to find a host, a proxy or root certificates. */
static bool environment_is_wanted(const char *variable, size_t n)
{
    static const char *const wanted[] = {
        "PATH",         "LANG",         "TZ",          "LD_LIBRARY_PATH", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "OPENSSL_CONF", "RES_OPTIONS", "LOCALDOMAIN",     "HOSTALIASES",
        "http_proxy",   "https_proxy",  "HTTPS_PROXY", "all_proxy",       "ALL_PROXY",
        "no_proxy",     "NO_PROXY",
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strlen(wanted[i]) == n && memcmp(wanted[i], variable, n) == 0)
            return true;
    return n > 11 && memcmp(variable + n - 11, "SAN_OPTIONS", 11) == 0;
}

void environment_wipe(void)
{
    for (char **e = environ; e && *e; e++) {
        size_t n = strcspn(*e, "=");

        if ((*e)[n] && !environment_is_wanted(*e, n))
            explicit_bzero(*e + n + 1, strlen(*e + n + 1));
    }
}
