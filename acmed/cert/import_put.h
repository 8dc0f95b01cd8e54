/* Replaces the configured files by an imported pair: all of them, or none, as far as a
 * process that is not killed can see to it. Each new file is complete beside its target before
 * the first one gets its name, and until the last one is on disk, what was there keeps a second
 * name and is put back after a failure. If that fails, too, it keeps the second name.
 *
 *   X.new-PID, X.old-PID   beside the file X, while `cert import` of this process works. What a
 *                          killed one left there may hold a key, and is removed by the next
 *                          import of X.
 */
#ifndef ACMED_CERT_IMPORT_PUT_H
#define ACMED_CERT_IMPORT_PUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { IMPORT_PUT_FILES = 2 };

struct import_put_file {
    const char *path; /* links are followed: operators use them to keep several versions */
    const char *text;
    size_t n;
    mode_t mode; /* if there is no file yet; else owner, group and mode stay as they are */
};

struct import_put_failure {
    const char *path;                      /* of the file that cannot be written */
    bool mixed;                            /* not all that was there could be put back */
    char kept[IMPORT_PUT_FILES][PATH_MAX]; /* where it is instead, of each file; "": nowhere */
};

/* 0, or -1 with errno. */
int import_put(const struct import_put_file file[IMPORT_PUT_FILES],
               struct import_put_failure *failure);

#endif
