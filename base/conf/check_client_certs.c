/* conf/check_client_certs.c - certificates of clients: reads the files of a listener; see
 * conf/check.c and conf/build.h. Whether they can be used is found out later, with OpenSSL
 * (worker/tls/client_ca.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf/arena.h"
#include "base/conf/build.h"
#include "base/fd.h"

enum { CLIENT_FILE_MAX = 512 * 1024 }; /* bytes; of 16 listeners with two each: 16 MiB */

static const char *client_file(struct conf_build *b, const char *const *path, const char *name)
{
    int fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *kept = "";
    struct stat st;
    char *text = NULL;
    size_t n;

    if (fd >= 0) {
        errno = EINVAL;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            text = fd_read_all(fd, CLIENT_FILE_MAX, &n);
    }
    if (text)
        kept = conf_arena_strdup(b->arena, text);
    else
        conf_errors_add(&b->report, conf_line_of_field(b, path),
                        "listen.%s: cannot read %s: %s", name, *path,
                        errno == EFBIG    ? "it is larger than 512 KiB"
                        : errno == EINVAL ? "it is not a regular file"
                                          : strerror(errno));
    free(text);
    if (fd >= 0)
        close(fd);
    return kept;
}

void conf_check_client_certs(struct conf_build *b, struct conf_listen *l)
{
    unsigned line = conf_line_of_record(b, l);

    l->client_ca_text = l->client_crl_text = "";
    if (!l->client_ca)
        l->client_ca = "";
    if (!l->client_crl)
        l->client_crl = "";
    if (l->client_cert == CONF_CLIENT_CERT_NONE) {
        if (*l->client_ca || *l->client_crl)
            conf_errors_add(
                &b->report, line,
                "listen: client_ca and client_crl have no effect without client_cert; "
                "write client_cert = \"required\" or \"optional\"");
        return;
    }
    if (!l->tls)
        conf_errors_add(&b->report, line,
                        "listen: client_cert without tls; only clients that use TLS have "
                        "certificates");
    if (!*l->client_ca)
        conf_errors_add(&b->report, line,
                        "listen: client_cert without client_ca; write the file of the CAs that "
                        "sign certificates of clients");
    else
        l->client_ca_text = client_file(b, &l->client_ca, "client_ca");
    if (*l->client_crl)
        l->client_crl_text = client_file(b, &l->client_crl, "client_crl");
}

void conf_check_route_certs(struct conf_build *b, const struct conf_route *route)
{
    for (size_t i = 0; route->client_cert && i < b->conf->n_listen; i++)
        if (b->conf->listen[i].client_cert != CONF_CLIENT_CERT_NONE)
            return;
    if (route->client_cert)
        conf_errors_add(
            &b->report, conf_line_of_field(b, &route->client_cert),
            "routes.client_cert: no listener asks for certificates, so every request "
            "would be refused; write client_cert = \"optional\" and client_ca there");
}
