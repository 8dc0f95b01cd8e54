#include "shm/message.h"

#include <errno.h>

#include "base/fd.h"

int message_send(int sock, const struct message *message, int fd)
{
    ssize_t sent = fd_send(sock, message, sizeof *message, fd);

    return sent == (ssize_t)sizeof *message ? 0 : -1;
}

int message_recv(int sock, struct message *message, int *fd)
{
    ssize_t got = fd_recv(sock, message, sizeof *message, fd);

    if (got == 0)
        return 0;
    if (got < 0)
        return errno == ECONNRESET ? 0 : -1;
    if (got == (ssize_t)sizeof *message)
        return 1;
    fd_close(fd);
    errno = EPROTO;
    return -1;
}
