/* Writing to a log without ever waiting for its reader.
 *
 * A blocking write(2) to a pipe that nobody reads, to a stopped terminal or to a socket whose
 * peer hangs stops the process. O_NONBLOCK helps, but it belongs to the open file description,
 * which we may share with processes that rely on blocking writes (a shell, `tee`, an init). So
 * pipes and terminals are opened again, for this process alone. Where the host forbids that
 * (the pipe belongs to another user), poll(2) is called before each write, and a timer
 * interrupts a write that blocks nevertheless, because another process filled the pipe in
 * between. */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sink_kind {
    SINK_FILE,     /* a regular file, /dev/null: needs no reader */
    SINK_PIPE,     /* whole lines up to PIPE_BUF, so that lines of other writers do not mix */
    SINK_TERMINAL, /* partial writes possible: a line may be torn if the terminal is stopped */
    SINK_SOCKET,   /* as a pipe: journald's stream, or datagrams of whole lines */
};

struct sink {
    int fd; /* not owned; -1: none */
    enum sink_kind kind;
    bool shared; /* its open file description blocks, and other processes may share it */
};

/* Detects the kind of fd. -1 is allowed. */
void sink_open(struct sink *sink, int fd);

/* Like write(2) of the lines [p, p + n), n > 0, but never waits: -1 with EAGAIN when nothing
 * could be written. It may write less than n bytes; to a pipe or socket it then writes whole
 * lines, if they fit in PIPE_BUF. EMSGSIZE: the first line is longer than that, and than a
 * datagram of this socket may be. */
ssize_t sink_write(const struct sink *sink, const char *p, size_t n);

/* Do both descriptors lead to the same file, pipe or terminal? false: one is not open. */
bool sink_is_same(int a, int b);

/* A new non-blocking descriptor (owned by the caller, close-on-exec, above 2) for the pipe or
 * terminal behind fd. -1 with errno: it cannot be opened again; EINVAL: fd is neither. */
int sink_reopen(int fd);

/* Gives this process and its children their own open file descriptions for standard output and
 * error, where sink_reopen() can. Once, at start, before privileges are dropped. */
void sink_adopt_standard(void);

#endif
