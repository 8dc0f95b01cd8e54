/* Writing to a log without ever waiting for whoever reads it.
 *
 * A pipe that nobody reads, a terminal that was stopped, a socket whose peer hangs: a blocking
 * write(2) to one of them stops the process. O_NONBLOCK helps, but it belongs to the open file
 * description, which we may share with processes that count on blocking writes (a shell, `tee`,
 * an init). So pipes and terminals are opened once more, for us alone. Where the host forbids
 * that (the pipe belongs to another user), poll(2) goes first and a timer ends what blocks all
 * the same, because somebody else filled it in between. */
#ifndef BASE_SINK_H
#define BASE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum sink_kind {
    SINK_FILE,     /* a regular file, /dev/null: nobody has to read it */
    SINK_PIPE,     /* whole lines up to PIPE_BUF, so that those of others do not get between */
    SINK_TERMINAL, /* in pieces, too: a line of a stopped one may be torn */
    SINK_SOCKET,   /* a stream: journald as standard output */
};

struct sink {
    int fd; /* not owned; -1: none */
    enum sink_kind kind;
    bool shared; /* its description blocks, and may be somebody else's */
};

/* Finds out what fd is. */
void sink_open(struct sink *sink, int fd);

/* As write(2) of lines [p, p + n), n > 0, but it never waits: -1 with EAGAIN when nothing was
 * taken. It may take less than all; a pipe then takes whole lines, if they fit PIPE_BUF. */
ssize_t sink_write(const struct sink *sink, const char *p, size_t n);

/* A fresh non-blocking descriptor (the caller's, close-on-exec, above 2) for the pipe or
 * terminal behind fd. -1 with errno: it may not be opened again; EINVAL: it is neither. */
int sink_reopen(int fd);

/* Standard output and error of this process and its children become descriptions of our own,
 * where sink_reopen() can. Once, at the start, before privileges are dropped. */
void sink_adopt_standard(void);

#endif
