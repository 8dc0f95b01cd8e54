#include "base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Debian 12 has the header of version 2; the numbers are the kernel's. */
enum {
    FS_ABI_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,     /* from version 2 on */
    FS_TRUNCATE = 1 << 14,  /* 3 */
    FS_IOCTL_DEV = 1 << 15, /* 5 */
    NET_BIND = 1,           /* 4 */
    NET_CONNECT = 2,
    SCOPE_ABSTRACT_UNIX = 1, /* 6 */
    SCOPE_SIGNAL = 2,
    RULE_NET_PORT = 2, /* of enum landlock_rule_type */
};

/* Of version 6; an older kernel takes as much of it as it knows. */
struct ruleset {
    uint64_t fs, net, scoped;
};

struct port_rule {
    uint64_t access, port;
};

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

static struct ruleset all_rights(int abi)
{
    struct ruleset all = {.fs = FS_ABI_1};

    if (abi >= 2)
        all.fs |= FS_REFER;
    if (abi >= 3)
        all.fs |= FS_TRUNCATE;
    if (abi >= LANDLOCK_ABI_TCP)
        all.net = NET_BIND | NET_CONNECT;
    if (abi >= 5)
        all.fs |= FS_IOCTL_DEV;
    if (abi >= LANDLOCK_ABI_SCOPE)
        all.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    return all;
}

/* A path that does not exist, or that this user cannot reach, stays forbidden. */
static int allow_reading(int rules, const char *path)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = open(path, O_PATH | O_CLOEXEC)};
    struct stat st;
    int rc = 0;

    if (rule.parent_fd < 0)
        return 0;
    if (fstat(rule.parent_fd, &st) == 0) {
        rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
        if (S_ISDIR(st.st_mode))
            rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
        rc = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }
    close(rule.parent_fd);
    return rc;
}

static int allow_port(int rules, uint16_t port)
{
    const struct port_rule rule = {.access = NET_CONNECT, .port = port};

    return (int)syscall(SYS_landlock_add_rule, rules, RULE_NET_PORT, &rule, 0);
}

int landlock_limit(const struct landlock_limits *limits)
{
    static const size_t size[] = {sizeof(uint64_t), 2 * sizeof(uint64_t),
                                  sizeof(struct ruleset)};
    int abi = landlock_abi(), rules, rc = 0;
    struct ruleset all = all_rights(abi);

    if (abi == 0)
        return 0;
    rules = (int)syscall(SYS_landlock_create_ruleset, &all,
                         size[(abi >= LANDLOCK_ABI_TCP) + (abi >= LANDLOCK_ABI_SCOPE)], 0);
    if (rules < 0)
        return -1;
    for (size_t i = 0; rc == 0 && i < limits->n_read; i++)
        rc = allow_reading(rules, limits->read[i]);
    for (size_t i = 0; rc == 0 && all.net && i < limits->n_connect; i++)
        rc = allow_port(rules, limits->connect[i]);
    if (rc == 0)
        rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);

    int error = errno;

    close(rules);
    errno = error;
    return rc == 0 ? abi : -1;
}
