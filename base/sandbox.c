#include "base/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

/* ---- system calls */

enum { NAME_MAX_BYTES = 32 }; /* of the name of a call, with NUL */

/* False: the rule has no condition. */
static bool sandbox_compare(const struct sandbox_rule *rule, struct scmp_arg_cmp *to)
{
    *to = (struct scmp_arg_cmp){.arg = rule->arg, .datum_a = rule->value};
    switch (rule->when) {
    case SANDBOX_BITS:
        to->op = SCMP_CMP_MASKED_EQ;
        to->datum_a = rule->mask;
        to->datum_b = rule->value;
        return true;
    case SANDBOX_OTHER:
        to->op = SCMP_CMP_NE;
        return true;
    case SANDBOX_ABOVE:
        to->op = SCMP_CMP_GT;
        return true;
    default:
        return false;
    }
}

/* and: a second condition, or NULL. */
static int sandbox_add(scmp_filter_ctx filter, const struct sandbox_rule *rule,
                       const struct sandbox_rule *and)
{
    uint32_t action = SCMP_ACT_ERRNO(rule->error ? (unsigned)rule->error : EPERM);
    struct scmp_arg_cmp args[2];
    char name[NAME_MAX_BYTES];
    unsigned n = sandbox_compare(rule, &args[0]);
    int rc = 0, call;

    if (and)
        n += sandbox_compare(and, &args[n]);
    for (const char *p = rule->calls; rc == 0 && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");

        CHECK(len < sizeof name);
        memcpy(name, p, len);
        name[len] = '\0';
        p += len;
        call = seccomp_syscall_resolve_name(name);
        if (call != __NR_SCMP_ERROR)
            rc = seccomp_rule_add_array(filter, action, call, n, args);
    }
    return rc;
}

bool sandbox_has_filters(void)
{
    const uint32_t action = SECCOMP_RET_ERRNO;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static scmp_filter_ctx sandbox_begin(int *rc)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    *rc = filter ? 0 : -ENOMEM;
    if (*rc == 0)
        *rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (*rc == 0) /* a tree instead of a list: a call with conditions costs less */
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return filter;
}

static int sandbox_finish(scmp_filter_ctx filter, int rc)
{
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    errno = -rc;
    return rc ? -1 : 0;
}

int sandbox_forbid(const struct sandbox_rule *rules, size_t n)
{
    int rc;
    scmp_filter_ctx filter = sandbox_begin(&rc);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = sandbox_add(filter, &rules[i], NULL);
    return sandbox_finish(filter, rc);
}

int sandbox_forbid_both(const struct sandbox_rule rule[2])
{
    int rc;
    scmp_filter_ctx filter = sandbox_begin(&rc);

    if (rc == 0)
        rc = sandbox_add(filter, &rule[0], &rule[1]);
    return sandbox_finish(filter, rc);
}

/* ---- files */

enum {
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    HANDLED = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* all rights of Landlock's first ABI */
};

int sandbox_can_hide(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* An entry that cannot be opened, or that Landlock refuses, stays hidden. */
static void allow(int rules, int parent, const char *name)
{
    struct landlock_path_beneath_attr beneath = {
        .parent_fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    struct stat st;

    if (beneath.parent_fd < 0)
        return;
    /* Access to the target of a symbolic link depends on the target's own path. */
    if (fstat(beneath.parent_fd, &st) == 0 && !S_ISLNK(st.st_mode)) {
        beneath.allowed_access = S_ISDIR(st.st_mode) ? READ : LANDLOCK_ACCESS_FS_READ_FILE;
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    }
    close(beneath.parent_fd);
}

/* Allows every entry of this directory except one. */
static void allow_beside(int rules, const char *dir, const char *but)
{
    DIR *listing = opendir(dir);

    for (const struct dirent *e; listing && (e = readdir(listing));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, but) != 0)
            allow(rules, dirfd(listing), e->d_name);
    if (listing)
        closedir(listing);
}

int sandbox_hide(const char *path)
{
    const struct landlock_ruleset_attr attr = {.handled_access_fs = HANDLED};
    char real[PATH_MAX];
    int rules, rc;

    if (!realpath(path, real))
        return errno == ENOENT ? 0 : -1;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return -1;
    for (char *name; (name = strrchr(real, '/')) && name[1];) {
        *name = '\0';
        allow_beside(rules, *real ? real : "/", name + 1);
    }
    rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
    return rc;
}
