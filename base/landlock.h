/* Landlock: what this process can still open, where it can still connect to, and whom it can
 * still reach. Needs no privilege and cannot be undone; inherited over fork() and exec(); sets
 * no_new_privs. Each kernel has a version (ABI) of it, or none: what the version does not know
 * stays as it was. One thread. */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

/* The first version that limits each of these. */
enum {
    LANDLOCK_ABI_FILES = 1,
    LANDLOCK_ABI_TCP = 4,
    LANDLOCK_ABI_SCOPE = 6, /* signals, and abstract unix sockets */
};

/* The kernel's version; 0: it has no Landlock, or it is switched off. */
int landlock_abi(void);

struct landlock_limits {
    const char *const *read; /* files, and directories with all below them, that exist now */
    size_t n_read;
    const uint16_t *connect; /* TCP ports, host order */
    size_t n_connect;
};

/* From now on this process can open nothing but `read`, and that only for reading. It can
 * connect to these TCP ports only, bind to none, and signal nobody outside. Descriptors that
 * are open stay as they are. Returns the version, 0 if there is none; -1 with errno: the kernel
 * has it and refused. */
int landlock_limit(const struct landlock_limits *limits);

#endif
