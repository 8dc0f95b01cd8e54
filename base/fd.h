/* File descriptors: the few system-call idioms that every process needs. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Closes *fd unless it is -1, and makes it -1. */
void fd_close(int *fd);

/* Closes all descriptors except standard input, output and error, and keep (>= 2). */
void fd_close_others(int keep);

/* 0, or -1 with errno. */
int fd_nonblocking(int fd, bool on);
int fd_cloexec(int fd, bool on);

/* Writes all bytes, or fails (-1, errno): for files and blocking pipes. */
int fd_write_all(int fd, const void *bytes, size_t n);

/* fsync() of a directory. A file system that cannot do that (shared folders of VirtualBox, SMB
 * of older kernels) has nothing that could be waited for: 0. Else 0, or -1 with errno. */
int fd_sync_dir(int fd);

/* mkdir() that survives a crash of the host: the parent directory is synced too, where the host
 * allows that. 0, or -1 with errno of mkdir(). */
int fd_make_dir(const char *path, mode_t mode);

/* Reads a whole file into a fresh NUL-terminated block of at most max bytes
 * (EFBIG if it is larger). Returns NULL with errno on error. The caller frees
 * the block. fd stays open, and its offset moves. */
char *fd_read_all(int fd, size_t max, size_t *n);

/* Send and receive one message with at most one descriptor over a
 * SOCK_SEQPACKET socket, without waiting. fd < 0: none. fd_recv() returns the
 * number of bytes (0: the peer has closed); *fd is -1 if the message carried no
 * descriptor. -1 with errno on error. */
ssize_t fd_send(int sock, const void *bytes, size_t n, int fd);
ssize_t fd_recv(int sock, void *bytes, size_t n, int *fd);

/* Ring and clear an eventfd. Neither fails in a way that matters: a full
 * counter means that the bell is already ringing. fd_ring_for() adds n to the
 * counter, fd_ring() 1; fd_unring() returns it, 0 if nobody rang. */
void fd_ring(int eventfd);
void fd_ring_for(int eventfd, uint64_t n);
uint64_t fd_unring(int eventfd);

#endif
