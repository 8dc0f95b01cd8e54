#include "supervisor/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address;
static socklen_t address_len; /* 0: no NOTIFY_SOCKET */

uint64_t notify_init(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t watchdog_ms = 0;

    if (path && (path[0] == '/' || path[0] == '@') && strlen(path) < sizeof address.sun_path) {
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, path, strlen(path));
        if (path[0] == '@') /* an abstract name */
            address.sun_path[0] = '\0';
        address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    }
    if (usec && (!pid || strtol(pid, NULL, 10) == getpid()))
        watchdog_ms = strtoull(usec, NULL, 10) / 1000;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return watchdog_ms;
}

void notify_export(uint64_t watchdog_ms)
{
    char path[sizeof address.sun_path + 1] = "", usec[24];

    if (address_len == 0)
        return;
    memcpy(path, address.sun_path, address_len - offsetof(struct sockaddr_un, sun_path));
    if (!*path)
        *path = '@';
    setenv("NOTIFY_SOCKET", path, 1);
    snprintf(usec, sizeof usec, "%llu", (unsigned long long)watchdog_ms * 1000);
    if (watchdog_ms)
        setenv("WATCHDOG_USEC", usec, 1);
}

void notify_send(const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (address_len == 0)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof text)
        n = sizeof text - 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* MSG_DONTWAIT: a service manager that hangs must not block us. */
    sendto(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
           address_len);
    close(fd);
}
