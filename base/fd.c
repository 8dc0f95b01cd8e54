#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void fd_close_others(int keep)
{
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0u, 0);
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
    int flags = fcntl(fd, get);

    if (flags < 0)
        return -1;
    return fcntl(fd, set, on ? flags | flag : flags & ~flag);
}

int fd_nonblocking(int fd, bool on)
{
    return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_cloexec(int fd, bool on)
{
    return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t sent = write(fd, p, n);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        p += sent;
        n -= (size_t)sent;
    }
    return 0;
}

int fd_sync_dir(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
}

int fd_make_dir(const char *path, mode_t mode)
{
    char above[PATH_MAX];
    int fd;

    if (mkdir(path, mode) < 0)
        return -1;
    if (snprintf(above, sizeof above, "%s", path) >= (int)sizeof above)
        return 0;
    fd = open(dirname(above), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
    fd_close(&fd);
    return 0;
}

char *fd_read_all(int fd, size_t max, size_t *n)
{
    size_t room = 4096, have = 0;
    char *bytes = malloc(room + 1);

    while (bytes) {
        ssize_t got = read(fd, bytes + have, room - have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            goto fail;
        if (got == 0) {
            bytes[have] = '\0';
            *n = have;
            return bytes;
        }
        have += (size_t)got;
        if (have > max) {
            errno = EFBIG;
            goto fail;
        }
        if (have == room) {
            char *more = realloc(bytes, room * 2 + 1);

            if (!more)
                goto fail;
            bytes = more;
            room *= 2;
        }
    }
fail:
    free(bytes);
    return NULL;
}

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

ssize_t fd_send(int sock, const void *bytes, size_t n, int fd)
{
    struct iovec io = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
    union control control = {0};
    struct msghdr msg = {.msg_iov = &io, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t fd_recv(int sock, void *bytes, size_t n, int *fd)
{
    struct iovec io = {.iov_base = bytes, .iov_len = n};
    union control control;
    struct msghdr msg = {.msg_iov = &io,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};
    ssize_t got;

    *fd = -1;
    do {
        got = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(head), sizeof *fd);
    return got;
}

void fd_ring_for(int eventfd, uint64_t n)
{
    ssize_t sent = write(eventfd, &n, sizeof n);
    (void)sent;
}

void fd_ring(int eventfd)
{
    fd_ring_for(eventfd, 1);
}

uint64_t fd_unring(int eventfd)
{
    uint64_t count;

    return read(eventfd, &count, sizeof count) == sizeof count ? count : 0;
}
