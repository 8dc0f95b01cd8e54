#include "base/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

enum { PROBES = 3 /* unanswered keepalive probes until the peer counts as gone */ };

static void tcp_set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static int seconds(uint32_t ms)
{
    return ms < 1000 ? 1 : (int)(ms / 1000);
}

void tcp_prepare(int fd, uint32_t keepalive_ms, uint32_t user_ms)
{
    tcp_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    tcp_set(fd, SOL_SOCKET, SO_KEEPALIVE, keepalive_ms > 0);
    tcp_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_ms);
    if (keepalive_ms == 0)
        return;
    tcp_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keepalive_ms));
    tcp_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(keepalive_ms / PROBES));
    tcp_set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}
