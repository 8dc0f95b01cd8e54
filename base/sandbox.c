#include "base/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
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

enum { NAME_MAX_BYTES = 32 }; /* of a call */

static int add_call(scmp_filter_ctx filter, const struct sandbox_rule *rule, int call)
{
    uint32_t action = SCMP_ACT_ERRNO(rule->error ? (unsigned)rule->error : EPERM);
    struct scmp_arg_cmp compare = {.arg = rule->arg, .datum_a = rule->value};

    switch (rule->when) {
    case SANDBOX_BITS:
        compare.op = SCMP_CMP_MASKED_EQ;
        compare.datum_a = rule->mask;
        compare.datum_b = rule->value;
        break;
    case SANDBOX_OTHER:
        compare.op = SCMP_CMP_NE;
        break;
    case SANDBOX_ABOVE:
        compare.op = SCMP_CMP_GT;
        break;
    default:
        return seccomp_rule_add(filter, action, call, 0);
    }
    return seccomp_rule_add_array(filter, action, call, 1, &compare);
}

static int add(scmp_filter_ctx filter, const struct sandbox_rule *rule)
{
    char name[NAME_MAX_BYTES];
    int rc = 0, call;

    for (const char *p = rule->calls; rc == 0 && *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");

        CHECK(n < sizeof name);
        memcpy(name, p, n);
        name[n] = '\0';
        p += n;
        call = seccomp_syscall_resolve_name(name);
        if (call != __NR_SCMP_ERROR)
            rc = add_call(filter, rule, call);
    }
    return rc;
}

int sandbox_forbid(const struct sandbox_rule *rules, size_t n)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc = filter ? 0 : -ENOMEM;

    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(filter, &rules[i]);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    errno = -rc;
    return rc ? -1 : 0;
}

/* ---- files */

enum {
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    HANDLED = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, /* all that the first Landlock knows */
};

int sandbox_can_hide(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* What cannot be opened, or is no file system's, stays hidden. */
static void allow(int rules, int parent, const char *name)
{
    struct landlock_path_beneath_attr beneath = {
        .parent_fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    struct stat st;

    if (beneath.parent_fd < 0)
        return;
    /* What a link leads to is allowed by its own path, or not. */
    if (fstat(beneath.parent_fd, &st) == 0 && !S_ISLNK(st.st_mode)) {
        beneath.allowed_access = S_ISDIR(st.st_mode) ? READ : LANDLOCK_ACCESS_FS_READ_FILE;
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    }
    close(beneath.parent_fd);
}

/* All of this folder but one name. */
static void allow_beside(int rules, const char *folder, const char *but)
{
    DIR *dir = opendir(folder);

    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, but) != 0)
            allow(rules, dirfd(dir), e->d_name);
    if (dir)
        closedir(dir);
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
