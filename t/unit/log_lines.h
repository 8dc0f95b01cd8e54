/* What a test's subject logs: to a file instead of standard error, for a while. */
#ifndef T_UNIT_LOG_LINES_H
#define T_UNIT_LOG_LINES_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Lines of the log that have this text; reads it from the start. */
static inline int logged(int fd, const char *text)
{
    static char all[16384];
    ssize_t n = pread(fd, all, sizeof all - 1, 0);
    int found = 0;

    all[n > 0 ? n : 0] = '\0';
    for (const char *p = all; (p = strstr(p, text)) != NULL; p++)
        found++;
    return found;
}

/* Returns the file, for logged(); both go to log_back(). */
static inline int log_to_file(int *before)
{
    char path[] = "/tmp/pasgate-log-XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    *before = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    return fd;
}

static inline void log_back(int before, int log)
{
    dup2(before, STDERR_FILENO);
    close(before);
    close(log);
}

#endif
