/* Descriptors: the few system-call idioms that every process needs. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Closes *fd unless it is -1, and makes it -1. */
void fd_close(int *fd);

/* Closes everything but standard input, output and error, and keep. */
void fd_close_others(int keep);

/* 0, or -1 with errno. */
int fd_nonblocking(int fd, bool on);
int fd_cloexec(int fd, bool on);

/* Writes all bytes or fails (-1, errno): for files and pipes that block. */
int fd_write_all(int fd, const void *bytes, size_t n);

/* mkdir() that survives a crash of the host: the folder above is synced, where that can be
 * done. */
int fd_make_dir(const char *path, mode_t mode);

/* Reads a whole file into a fresh NUL-terminated block, at most max bytes
 * (EFBIG beyond). Returns NULL with errno. The caller frees *it. fd stays open
 * and its offset moves. */
char *fd_read_all(int fd, size_t max, size_t *n);

/* Sends and receives one message with at most one descriptor over a
 * SOCK_SEQPACKET socket. fd < 0: none. Receive gives the bytes (0 = the peer
 * has gone), *fd = -1 when none came with it. -1 with errno. */
ssize_t fd_send(int sock, const void *bytes, size_t n, int fd);
ssize_t fd_recv(int sock, void *bytes, size_t n, int *fd);

/* Rings and clears an eventfd. Neither fails in a way that matters: a full
 * counter means that the bell is already ringing. */
void fd_ring(int eventfd);
void fd_unring(int eventfd);

#endif
